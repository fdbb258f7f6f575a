"""A user's mistake is told in a line; a bug shows where it is."""

import json
import pickle
import sys
import zipfile

import gymnasium as gym
import pytest
from helpers import simplex_dataset
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_distill import SyntheticDataset, cli
from sb3_distill.cli import zoo
from sb3_distill.errors import ArgumentError

TASK = "NDCartPole1D-v0"
ROLLBACK = ["rollback", "--env", TASK, "--levels", "1", "--timesteps", "64", "--n-envs", "4", "-o", "ladder"]
ROLLBACK += ["--learners", "1", "--episodes", "1"]
SMALL = ["-params", "n_steps:16", "n_learners:2"]
CLONE = ["--env", "CartPole-v1", "-o", "new.safetensors", "--timesteps", "64", "--n-envs", "4"]

DAMAGED = {
    "data": ("data", b"{"),
    "list": ("data", b"[1]"),
    "weights": ("policy.pth", b"x"),
    "none": ("policy.pth", None),
}
"""Agents by name: a part of the zip, and what it holds instead (nothing: it is missing)."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What users have lying about: sets, agents and grids, many of them damaged."""
    folder = tmp_path_factory.mktemp("files")
    dataset = simplex_dataset(2, 10.0)
    dataset.save(folder / "set.safetensors")
    dataset.info.env_kwargs = {"no_such": 1}
    dataset.save(folder / "arguments.safetensors")
    dataset.info.env_id, dataset.info.env_kwargs = "Nothing-v0", {}
    dataset.save(folder / "environment.safetensors")
    dataset.info.env_id = "no_such_module:Nothing-v0"
    dataset.save(folder / "module.safetensors")
    (folder / "broken.safetensors").write_bytes(b"nonsense")
    PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8).save(folder / "ppo.zip")
    DQN("MlpPolicy", "CartPole-v1", buffer_size=1).save(folder / "dqn.zip")
    A2C("MlpPolicy", "Pendulum-v1").save(folder / "pendulum.zip")
    _write_damaged(folder)
    for name in ("CartPole-v1", "Pendulum-v1"):
        VecNormalize(DummyVecEnv([lambda name=name: gym.make(name)])).save(folder / f"{name}.pkl")
    (folder / "text.pkl").write_bytes(b"text")
    (folder / "number.pkl").write_bytes(pickle.dumps(3))
    grids = {
        "broken": "{",
        "list": "[1]",
        "number": '{"a": 3}',
        "width": '{"a": {"width": "x"}}',
        "key": '{"a": {"breadth": 3}}',
    }
    for name, text in grids.items():
        (folder / f"{name}.json").write_text(text)
    (folder / "folder").mkdir()
    (folder / "file").write_text("")
    return folder


def _write_damaged(folder):
    whole = (folder / "ppo.zip").read_bytes()
    (folder / "cut.zip").write_bytes(whole[: len(whole) // 2])
    middle = len(whole) // 2
    (folder / "flipped.zip").write_bytes(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :])
    (folder / "text.zip").write_text("no zip")
    with zipfile.ZipFile(folder / "other.zip", "w") as archive:
        archive.writestr("a.txt", "another library")
    for name, (part, content) in DAMAGED.items():
        with zipfile.ZipFile(folder / "ppo.zip") as good, zipfile.ZipFile(folder / f"{name}.zip", "w") as bad:
            for entry in good.namelist():
                if entry != part or content is not None:
                    bad.writestr(entry, content if entry == part else good.read(entry))


pytestmark = pytest.mark.filterwarnings("ignore:the agent gets")  # these agents were never trained
MISTAKES = [
    (["show", "Missing-v0"], "no shipped dataset is called 'Missing-v0'"),
    (["show", "broken.safetensors"], "not a readable safetensors file"),
    (["show", "set.safetensors", "-o", "picture.xyz"], "picture.xyz cannot be drawn: Format 'xyz' is not supported"),
    (["show", "set.safetensors", "-o", "file/picture.png"], "file"),
    (["show", "set.safetensors", "-o", ""], "the output must be a file, got '.'"),
    (["evaluate", "set.safetensors", "--grid", "table1", "--learner-distribution", "xe"], "leave out --learner-dist"),
    (["evaluate", "missing.safetensors"], "there is no dataset file missing.safetensors"),
    (["evaluate", "set.safetensors", "--learners", "0"], "must be at least 1"),
    (["evaluate", "set.safetensors", "--learner-distribution", "x"], "unknown `learner_distribution` 'x'"),
    (["evaluate", "set.safetensors", "--device", "toaster"], "`device` must be cpu, cuda, auto"),
    (["evaluate", "set.safetensors", "--device", "meta"], "`device` must be one that computes"),
    (["evaluate", "arguments.safetensors", "--learners", "1"], "was recorded with {'no_such': 1} and cannot be made so"),
    (["evaluate", "environment.safetensors", "--learners", "1"], "Nothing"),
    (["evaluate", "module.safetensors", "--learners", "1"], "a file imports no module"),
    (["evaluate", "set.safetensors", "--grid", "x"], "unknown `grid` 'x'"),
    (["evaluate", "set.safetensors", "--grid", "broken.json"], "broken.json is not a JSON file"),
    (["evaluate", "set.safetensors", "--grid", "list.json"], "a grid must be an object"),
    (["evaluate", "set.safetensors", "--grid", "number.json"], "cell 'a' of the grid"),
    (["evaluate", "set.safetensors", "--grid", "width.json"], "cell 'a' of the grid"),
    (["evaluate", "set.safetensors", "--grid", "key.json"], "unknown keys ['breadth']"),
    (["teach", "set.safetensors", "--algo", "sac"], "the policy has 1 outputs, the labels of the dataset have 4"),
    (["teach", "Pendulum-v1", "--algo", "dqn"], "DQN has no policy for the actions of this dataset, Box(1,)"),
    (["teach", "set.safetensors", "-o", "file/agent.zip"], "file/agent.zip"),
    (["watch", "set.safetensors", "-o", "video.avi"], "a video must be called *.gif or *.mp4"),
    (["watch", "set.safetensors", "--max-steps", "0"], "`max_steps` must be at least 1"),
    (["watch", "arguments.safetensors"], "was recorded with {'no_such': 1} and cannot be made so"),
    (["rollback", "--env", TASK, "--levels", "x"], "--levels are numbers"),
    (["rollback", "--env", TASK, "--levels", "0,1"], "`levels` must fall"),
    ([*ROLLBACK, "--levels", "9"], "from 0 to 3 for this network"),
    ([*ROLLBACK, "--env", "Nothing-v0"], "Nothing"),
    ([*ROLLBACK, "--env", "no_such_module:Nothing-v0"], "needs no_such_module"),
    ([*ROLLBACK, "--env", "Blackjack-v1"], "observation space is not supported"),
    ([*ROLLBACK, "--policy", "Nonsense"], "Nonsense"),
    ([*ROLLBACK, "--policy", "CnnPolicy"], "You should use NatureCNN only with images"),
    ([*ROLLBACK, "--seed", "-1"], "Seed must be between 0 and 2**32 - 1"),
    ([*ROLLBACK, "--timesteps", "0"], "`total_timesteps` must be at least 1"),
    ([*ROLLBACK, "-o", "file"], "file"),
    ([*ROLLBACK, *SMALL, "gamma"], "-params are name:value"),
    ([*ROLLBACK, *SMALL, "gama:0.5"], "unknown key 'gama' in -params, did you mean 'gamma'?"),
    ([*ROLLBACK, *SMALL, "_init_setup_model:0"], "unknown key"),
    ([*ROLLBACK, *SMALL, "gamma:x"], "`gamma` must be a number, got 'x'"),
    ([*ROLLBACK, *SMALL, "gamma:None"], "`gamma` must be a number, got None"),
    ([*ROLLBACK, *SMALL, "ent_coef:[1]"], "`ent_coef` must be a number, got [1]"),
    ([*ROLLBACK, *SMALL, "learning_rate:x"], "a schedule must be written 'lin_<number>'"),
    ([*ROLLBACK, *SMALL, "learning_rate:-1"], "Invalid learning rate: -1"),
    ([*ROLLBACK, *SMALL, "labels_learning_rate:[1]"], "a step size must be a number, a function"),
    ([*ROLLBACK, *SMALL, "batch_size:0"], "`batch_size` must be greater than 1"),
    ([*ROLLBACK, *SMALL, "clip_range_vf:-1"], "`clip_range_vf` must be positive"),
    ([*ROLLBACK, *SMALL, "policy_kwargs:3"], "`policy_kwargs` must be a dict"),
    ([*ROLLBACK, *SMALL, "policy_kwargs:dict(no_such=1)"], "unexpected keyword argument 'no_such'"),
    ([*ROLLBACK, *SMALL, "policy_kwargs:dict(net_arch='x')"], "PPMO does not take these arguments"),
    ([*ROLLBACK, *SMALL, "device:toaster"], "Expected one of cpu, cuda"),
    ([*ROLLBACK, *SMALL, "initial_dataset:3"], "`initial_dataset` must be a name or a path, got 3"),
    ([*ROLLBACK, *SMALL, "stats_window_size:-1"], "maxlen must be non-negative"),
    (["clone", "missing.zip", *CLONE], "there is no agent missing.zip"),
    (["clone", "folder", *CLONE], "there is no agent folder"),
    (["clone", "text.zip", *CLONE], "text.zip is not a zip that an SB3 algorithm saved"),
    (["clone", "cut.zip", *CLONE], "cut.zip is not a zip that an SB3 algorithm saved"),
    (["clone", "other.zip", *CLONE], "other.zip is not a zip that an SB3 algorithm saved"),
    (["clone", "flipped.zip", *CLONE], "flipped.zip cannot be loaded, is it damaged?"),
    (["clone", "data.zip", *CLONE], "data.zip cannot be loaded, is it damaged?"),
    (["clone", "list.zip", *CLONE], "list.zip cannot be loaded, is it damaged?"),
    (["clone", "weights.zip", *CLONE], "weights.zip cannot be loaded, is it damaged?"),
    (["clone", "none.zip", *CLONE], "none.zip cannot be loaded, is it damaged?"),
    (["clone", "ppo.zip", *CLONE, "--algo", "x"], "`algo` must be one of PPO"),
    (["clone", "ppo.zip", *CLONE, "--algo", "sac"], "ppo.zip cannot be loaded, was it saved by sac?"),
    (["clone", "dqn.zip", *CLONE, "--algo", "ppo"], "dqn.zip cannot be loaded, was it saved by ppo?"),
    (["clone", "pendulum.zip", *CLONE], "the agent was trained for observation space Box(3,)"),
    (["clone", "ppo.zip", *CLONE, "--vecnormalize", "missing.pkl"], "there are no statistics missing.pkl"),
    (["clone", "ppo.zip", *CLONE, "--vecnormalize", "Pendulum-v1.pkl"], "does not fit ppo.zip"),
    (["clone", "ppo.zip", *CLONE, "--vecnormalize", "text.pkl"], "does not fit ppo.zip"),
    (["clone", "ppo.zip", *CLONE, "--vecnormalize", "number.pkl"], "does not fit ppo.zip"),
    (["clone", "ppo.zip", *CLONE, "-o", "new.zip"], "must be called *.safetensors"),
    (["clone", "ppo.zip", *CLONE, "-o", "file/new.safetensors"], "file"),
    (["clone", "ppo.zip", *CLONE, "--policy", "CnnPolicy"], "You should use NatureCNN only with images"),
    (["clone", "ppo.zip", *CLONE, "--n-instances", "0"], "`n_instances` must be at least 1"),
    (["clone", "ppo.zip", *CLONE, "-params", "policy_kwargs:3"], "`policy_kwargs` must be a dict"),
]


@pytest.mark.parametrize("arguments, message", MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_a_mistake_is_told_in_one_line(files, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(files)
    arguments = [str(tmp_path / "ladder") if argument == "ladder" else argument for argument in arguments]
    assert cli.main([arguments[0], "--json", *arguments[1:]]) == 1
    lines = capsys.readouterr().err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1 and errors[0] == lines[-1] and message in errors[0]
    assert not any(line.startswith("Traceback") for line in lines)


@pytest.mark.parametrize(
    "command", [["teach", TASK], ["evaluate", TASK], ["watch", TASK], ROLLBACK, ["clone", "ppo.zip", *CLONE]]
)
def test_seeds_that_torch_does_not_take(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([*command, "--seed", str(2**70)])
    assert "argument --seed: must be from" in capsys.readouterr().err


def test_a_missing_extra_is_named(files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main(["show", "set.safetensors"]) == 1
    assert capsys.readouterr().err.startswith('error: pictures need matplotlib: pip install "sb3-distill[plots]"')


FAULTY = [
    (["show", "set.safetensors"], "sb3_distill.report.pictures.show"),
    (["evaluate", "set.safetensors"], "sb3_distill.cli.commands.evaluate_learners"),
    (["evaluate", "set.safetensors", "--grid", "table1"], "sb3_distill.cli.commands.evaluate_grid"),
    (["teach", "set.safetensors"], "sb3_distill.cli.commands.teach_as_zip"),
    (["watch", "set.safetensors"], "sb3_distill.report.video.watch"),
    ([*ROLLBACK, *SMALL], "sb3_distill.rollback.ladder.score_level"),
    (["clone", "ppo.zip", *CLONE], "sb3_distill.cli.learning.distil.clone"),
]


@pytest.mark.parametrize("arguments, name", FAULTY, ids=[name.split(".")[-1] for _, name in FAULTY])
@pytest.mark.parametrize("kind", [TypeError, AssertionError])
def test_a_bug_shows_where_it_is(files, tmp_path, monkeypatch, capsys, arguments, name, kind):
    def faulty(*args, **kwargs):
        raise kind("a bug")

    monkeypatch.chdir(files)
    monkeypatch.setattr(name, faulty)
    assert cli.main([str(tmp_path / "ladder") if argument == "ladder" else argument for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert "Traceback (most recent call last)" in error and "in faulty" in error
    assert error.splitlines()[-1].startswith(kind.__name__)


def test_developers_see_where_a_mistake_was_found(files, monkeypatch):
    monkeypatch.chdir(files)
    monkeypatch.setenv("SB3_DISTILL_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError, match="there is no dataset file"):
        cli.main(["show", "missing.safetensors"])


def test_hyperparameters_of_the_right_kind_pass():
    zoo.check_hyperparameters({"gamma": 0.5, "learning_rate": "lin_0.1", "clip_range": lambda _: 0.2, "target_kl": None}, "x")
    with pytest.raises(ArgumentError, match="`n_epochs` must be a number, got None"):
        zoo.check_hyperparameters({"n_epochs": None}, "x")


@pytest.mark.parametrize(
    "text, value", [("3", 3), ("[1, 2]", [1, 2]), ("dict(a=[8])", {"a": [8]}), ("abc", "abc"), ("{[]: 1}", "{[]: 1}")]
)
def test_values_are_read_as_python_writes_them(text, value):
    assert zoo.literal(text) == value


def test_results_are_json(files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(files)
    assert cli.main(["teach", "Pendulum-v1/off-policy", "--algo", "sac", "-o", str(tmp_path / "agent.zip"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    dataset = SyntheticDataset.load("Pendulum-v1/off-policy")
    assert result["algorithm"] == "sac" and dataset.info.env_id == "Pendulum-v1"
