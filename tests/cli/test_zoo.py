"""rl-zoo with PPMO in it; skipped where rl-zoo is not installed."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from sb3_distill import PPMO
from sb3_distill.cli import program as cli
from sb3_distill.cli import zoo
from sb3_distill.environments.worker_vec_env import WorkerVecEnv

pytest.importorskip("rl_zoo3.train", reason="needs rl-zoo", exc_type=ImportError)
QUICK = ["-n", "2000", "--seed", "1", "-params", "n_envs:4", "n_learners:2", "n_steps:16"]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    return tmp_path


def test_train_with_evaluation_checkpoints_and_tensorboard_then_resume_and_enjoy(tmp_path):
    arguments = ["train", "--env", "NDCartPole1D-v0", "--eval-freq", "500", "--save-freq", "500", "-tb", "tb", "-P", *QUICK]
    assert cli.main(arguments) == 0
    run = tmp_path / "logs/ppmo/NDCartPole1D-v0_1"
    assert (run / "NDCartPole1D-v0.zip").exists() and (run / "best_model.zip").exists() and (run / "evaluations.npz").exists()
    assert (
        list(run.glob("rl_model_*_steps.zip")) and list(run.glob("*.monitor.csv")) and list((tmp_path / "tb").rglob("events*"))
    )
    model = PPMO.load(run / "NDCartPole1D-v0.zip")
    assert model.gamma == 0.98 and model.dataset.n_instances == 4
    assert model.normalize is False  # as the entry says

    assert (
        cli.main(["train", "--env", "NDCartPole1D-v0", "-i", str(run / "NDCartPole1D-v0.zip"), "--eval-freq", "-1", *QUICK])
        == 0
    )
    assert (tmp_path / "logs/ppmo/NDCartPole1D-v0_2/NDCartPole1D-v0.zip").exists()
    for extra in ([], ["--load-best"]):
        enjoy = ["enjoy", "--env", "NDCartPole1D-v0", "-f", "logs", "-n", "50", "--no-render", "--exp-id", "1", *extra]
        assert cli.main(enjoy) == 0


def test_optimize_with_a_storage_then_train_a_trial(tmp_path):
    storage = ["--storage", "sqlite:///study.db", "--study-name", "s"]
    search = ["-optimize", "--n-trials", "2", "--n-startup-trials", "1", "--n-evaluations", "1", "--no-optim-plots", *storage]
    assert cli.main(["train", "--env", "NDCartPole1D-v0", *search, *QUICK]) == 0
    assert cli.main(["train", "--env", "NDCartPole1D-v0", "--trial-id", "1", "--eval-freq", "-1", *storage, *QUICK]) == 0


def test_an_unknown_environment_falls_back_to_default(capsys):
    assert cli.main(["train", "--env", "MountainCarContinuous-v0", "--eval-freq", "-1", *QUICK]) == 0
    assert "Using 'default' hyperparameters" in capsys.readouterr().out


def test_env_kwargs_of_a_configuration_reach_the_evaluation_too(tmp_path):
    (tmp_path / "own.yml").write_text(
        yaml.safe_dump(
            {"default": {"policy": "MlpPolicy", "n_timesteps": 200, "n_envs": 4, "n_steps": 16, "env_kwargs": {"n_dims": 3}}}
        )
    )
    assert cli.main(["train", "--env", "NDCartPole-v0", "-conf", "own.yml", "--eval-freq", "50"]) == 0
    model = PPMO.load(tmp_path / "logs/ppmo/NDCartPole-v0_1/NDCartPole-v0.zip")
    assert (model.normalize, model.n_instances, model.ent_coef) == (True, 16, 0.01)  # an entry that leaves them open


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--env", "Nothing-v0"], "the environment 'Nothing-v0' is not registered"),
        (["--env", "ALE/Nothing-v5"], r'pip install "sb3-distill\[atari\]"'),
        (
            ["--env", "NDCartPole1D-v0", "-params", "n_instance:3"],
            "unknown key 'n_instance' in .*, did you mean 'n_instances'",
        ),
        (["--env", "NDCartPole1D-v0", "-params", "gamma:'lin_0.9'"], "`gamma` must be a number, got 'lin_0.9'"),
        (["--env", "NDCartPole1D-v0", "-params", "policy:'Nonsense'"], "Nonsense"),
        (["--env", "NDCartPole1D-v0", "-params", "learning_rate:'cos_0.1'"], "must be written 'lin_<number>', got 'cos_0.1'"),
        (["--env", "no_such_module:Nothing-v0"], "needs no_such_module"),
        (["--env", "NDCartPole1D-v0", "-params", "gamma:None"], "`gamma` must be a number, got None"),
        (["--env", "NDCartPole1D-v0", "-params", "gamma:nonsense"], "name 'nonsense' is not defined .raised in rl-zoo"),
        (["--env", "NDCartPole1D-v0", "-params", "policy_kwargs:3"], "`policy_kwargs` must be a dict"),
        (["--env", "NDCartPole1D-v0", "-params", "batch_size:0"], "`batch_size` must be greater than 1"),
        (["--env", "NDCartPole1D-v0", "-params", "env_wrapper:'no_such.Wrapper'"], "No module named 'no_such'"),
        (["--env", "NDCartPole1D-v0", "--env-kwargs", "no_such:1"], "unexpected keyword argument 'no_such'"),
        (
            ["--env", "NDCartPole1D-v0", "-conf", "other.yml"],
            "Hyperparameters not found for ppmo-NDCartPole1D-v0 in other.yml",
        ),
        (["--env", "NDCartPole1D-v0", "-conf", "broken.yml"], "while parsing a flow"),
        (["--env", "NDCartPole1D-v0", "-conf", "incomplete.yml"], "KeyError: 'n_timesteps'"),
        (["--env", "NDCartPole1D-v0", "-conf", "missing.yml"], "missing.yml"),
        (["--env", "NDCartPole1D-v0", "-i", "missing.zip"], "must be a valid path to a .zip file"),
        (["--env", "NDCartPole1D-v0", "--device", "toaster"], "Expected one of cpu, cuda"),
        (["--algo", "dqn", "--env", "Pendulum-v1"], "only supports .*Discrete"),
    ],
)
def test_errors_are_one_line(tmp_path, capsys, arguments, message):
    (tmp_path / "other.yml").write_text("CartPole-v1: {policy: MlpPolicy, n_timesteps: 100}")
    (tmp_path / "broken.yml").write_text("default: [")
    (tmp_path / "incomplete.yml").write_text("default: {policy: MlpPolicy}")
    assert cli.main(["train", *arguments, "-n", "100"]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ") and re.search(message, lines[-1])
    assert not any(line.startswith("Traceback") for line in lines)


def test_runs_that_are_not_there(tmp_path, capsys):
    (tmp_path / "logs").mkdir()
    for arguments, message in (
        (["enjoy", "--env", "NDCartPole1D-v0", "-f", "logs", "--exp-id", "3"], "folder was not found"),
        (["plot-from-file", "-i", "missing.pkl"], "missing.pkl"),
    ):
        assert cli.main(arguments) == 1
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ") and message in error


@pytest.mark.parametrize("place", ["train", "collect_rollouts"])
def test_a_bug_of_ppmo_shows_where_it_is(monkeypatch, capsys, place):
    """Also where the line that raises is not ours."""

    def faulty(*args, **kwargs):
        return np.zeros(3) @ np.zeros(4)

    monkeypatch.setattr(PPMO, place, faulty)
    assert cli.main(["train", "--env", "NDCartPole1D-v0", "--eval-freq", "-1", *QUICK]) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error and "in faulty" in error


def test_a_bug_in_the_tables_shows_where_it_is(monkeypatch, capsys):
    monkeypatch.setattr("sb3_distill.cli.zoo_manager.check_hyperparameters", check_with_a_bug)
    monkeypatch.setattr("sb3_distill.cli.mistakes.PACKAGE", Path(__file__).parent)
    assert cli.main(["train", "--env", "NDCartPole1D-v0", "--eval-freq", "-1", *QUICK]) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error and "in check_with_a_bug" in error


def check_with_a_bug(*args):
    raise TypeError("a bug")


def test_every_configuration_is_valid():
    with open(zoo.config_file()) as file:
        entries = yaml.safe_load(file)
    eaten_by_the_zoo = {"n_envs", "n_timesteps", "normalize", "env_wrapper", "frame_stack", "policy"}
    for entry in entries.values():
        zoo.check_hyperparameters({key: value for key, value in entry.items() if key not in eaten_by_the_zoo}, "ppmo.yml")


def test_numbers_that_yaml_reads_as_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entry = "NDCartPole1D-v0: {policy: MlpPolicy, n_timesteps: 64, n_steps: 8, learning_rate: 1e-3, inner_learning_rate: 2e-1}"
    (tmp_path / "own.yml").write_text(entry)
    assert cli.main(["train", "--env", "NDCartPole1D-v0", "-conf", "own.yml", "--eval-freq", "-1", "-f", "logs"]) == 0
    model = PPMO.load(next(tmp_path.rglob("NDCartPole1D-v0.zip")))
    assert model.inner_learning_rate == 0.2 and float(model.lr_schedule(0.5)) == 1e-3


def test_simulators_are_stepped_by_workers(monkeypatch):
    made = []

    class Counted(WorkerVecEnv):
        def __init__(self, env_fns, **kwargs):
            made.append(len(env_fns))
            super().__init__(env_fns, **kwargs)

    monkeypatch.setattr("sb3_distill.environments.make.n_cores", lambda: 2)
    monkeypatch.setattr("sb3_distill.environments.plugins.SIMULATORS", ("gymnasium.envs.classic_control",))
    monkeypatch.setattr("sb3_distill.environments.make.WorkerVecEnv", Counted)
    for vec_env in ("dummy", "subproc"):  # the default of the zoo, and one that was asked for
        assert cli.main(["train", "--env", "Pendulum-v1", "--eval-freq", "-1", "--vec-env", vec_env, *QUICK]) == 0
        assert made == [4]
