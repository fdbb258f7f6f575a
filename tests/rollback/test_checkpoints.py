"""Runs that are cut off, and go on from a checkpoint."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from sb3_distill import PPMO, make_vec_env
from sb3_distill.rollback import Checkpoints, learning_seconds, resume
from sb3_distill.rollback.checkpoints import MODEL, STATISTICS, checkpoints_in, save

TASK = "NDCartPole1D-v0"
SMALL = dict(n_steps=32, batch_size=64, n_epochs=1, policy_kwargs=dict(net_arch=[16]), seed=0)
RELEASED = Path(__file__).parents[1] / "data/0.1.0/checkpoints"


def environment():
    return VecNormalize(make_vec_env(TASK, 8, seed=0))


class Interrupt(BaseCallback):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def _on_step(self):
        if self.num_timesteps >= self.at:
            raise KeyboardInterrupt
        return True


def test_a_run_that_was_cut_off_goes_on(tmp_path):
    model = PPMO("MlpPolicy", environment(), **SMALL)
    with pytest.raises(KeyboardInterrupt):
        model.learn(10_000, [Checkpoints(tmp_path, minutes=1e-9), Interrupt(2_000)])
    assert len(list(tmp_path.iterdir())) == 2
    env = environment()
    again = resume(PPMO, tmp_path, env)
    assert again.num_timesteps == 1_792  # the last rollout that was learned from
    assert env.ret_rms.count > 1_000 and env.obs_rms.count > 1_000
    again.learn(300, reset_num_timesteps=False)
    assert resume(PPMO, tmp_path / "nothing", environment()) is None


def test_a_checkpoint_that_is_not_whole_is_passed_over(tmp_path):
    model = PPMO("MlpPolicy", environment(), **SMALL).learn(256)
    save(model, tmp_path)
    model.learn(256, reset_num_timesteps=False)
    last = save(model, tmp_path)
    content = (last / MODEL).read_bytes()
    for cut in np.linspace(0, len(content) - 1, 40).astype(int):  # whole files inside look like the end of one
        (last / MODEL).write_bytes(content[:cut])
        assert resume(PPMO, tmp_path, environment()).num_timesteps == 256
    (last / MODEL).write_bytes(content)
    statistics = (last / STATISTICS).read_bytes()
    (last / STATISTICS).write_bytes(statistics[: len(statistics) // 2])
    assert resume(PPMO, tmp_path, environment()).num_timesteps == 256
    (last / STATISTICS).unlink()
    assert resume(PPMO, tmp_path, environment()).num_timesteps == 256
    (last / MODEL).unlink()
    assert resume(PPMO, tmp_path, environment()).num_timesteps == 256
    # One that was being written has another name.
    last.rename(last.with_suffix(".part"))
    assert resume(PPMO, tmp_path, environment()).num_timesteps == 256
    (last.with_suffix(".part") / "more").write_text("")
    model.learn(256, reset_num_timesteps=False)
    save(model, tmp_path)
    assert resume(PPMO, tmp_path, environment()).num_timesteps == 768
    # To start anew unasked would be worse than to stop.
    for path in tmp_path.glob("0*"):
        (path / MODEL).write_bytes(content[:100])
    with pytest.raises(ValueError, match="none of the checkpoints in .* can be read"):
        resume(PPMO, tmp_path, environment())


def test_checkpoints_are_of_one_run(tmp_path):
    env = environment()
    PPMO("MlpPolicy", env, **SMALL).learn(512, Checkpoints(tmp_path))
    env = environment()
    model = resume(PPMO, tmp_path, env)
    for again in (model, PPMO("MlpPolicy", env, **SMALL)):
        with pytest.raises(ValueError, match=r"holds a run of 512 steps: `resume` it and go on with learn\("):
            again.learn(256, Checkpoints(tmp_path))
    resume(PPMO, tmp_path, env).learn(256, Checkpoints(tmp_path), reset_num_timesteps=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{n:012d}" for n in (512, 768)]
    # One that cannot be read is no reason to drop what comes after.
    (tmp_path / f"{768:012d}" / MODEL).write_bytes(b"")
    resume(PPMO, tmp_path, env).learn(128, Checkpoints(tmp_path), reset_num_timesteps=False)
    assert resume(PPMO, tmp_path, env).num_timesteps >= 640


def test_checkpoints_of_other_environments(tmp_path):
    plain = make_vec_env(TASK, 8, seed=0)
    PPMO("MlpPolicy", plain, **SMALL).learn(256, Checkpoints(tmp_path / "plain"))
    with pytest.raises(ValueError, match="was saved without a VecNormalize: leave it out"):
        resume(PPMO, tmp_path / "plain", environment())
    PPMO("MlpPolicy", environment(), **SMALL).learn(256, Checkpoints(tmp_path / "normalised"))
    for env, message in (
        (VecNormalize(plain, norm_obs=False), "made with normalised observations: leave out norm_obs=False"),
        (plain, "put the environment into a VecNormalize"),
    ):
        with pytest.raises(ValueError, match=message):
            resume(PPMO, tmp_path / "normalised", env)


def test_any_algorithm_goes_on(tmp_path):
    model = PPO("MlpPolicy", make_vec_env(TASK, 4), n_steps=16, batch_size=32)
    model.learn(128, Checkpoints(tmp_path, minutes=1e-9))
    assert [path.name for path in checkpoints_in(tmp_path)] == [f"{n:012d}" for n in (128, 64)]
    assert isinstance(again := resume(PPO, tmp_path, make_vec_env(TASK, 4)), PPO) and again.num_timesteps == 128


def test_folders_of_something_else_are_no_checkpoints(tmp_path):
    for name in ("000000000064", "000000000128", "000000000192.part", "pictures"):
        (tmp_path / name).mkdir()
    assert [path.name for path in checkpoints_in(tmp_path)] == ["000000000128", "000000000064"]
    assert checkpoints_in(tmp_path / "nothing") == []


def test_seconds_of_learning_are_counted_over_all_runs(tmp_path, monkeypatch):
    """A clock that is a second later each time it is asked; what passes between two runs is not learning."""
    model = PPMO("MlpPolicy", environment(), **SMALL)
    assert learning_seconds(model) == 0
    now = [0.0]

    def clock():
        now[0] += 1
        return now[0]

    with monkeypatch.context() as patch:
        patch.setattr("sb3_distill.rollback.checkpoints.time.monotonic", clock)
        model.learn(512, Checkpoints(tmp_path, minutes=1e9))
        first = learning_seconds(model)
        assert 2 <= first <= now[0]
        now[0] += 1_000
        again = resume(PPMO, tmp_path, environment())
        assert learning_seconds(again) == first
        again.learn(512, Checkpoints(tmp_path / "elsewhere", minutes=1e9), reset_num_timesteps=False)
        assert learning_seconds(again) == 2 * first


def test_checkpoints_of_version_0_1_0_keep_counting(tmp_path):
    shutil.copytree(RELEASED, tmp_path / "run")
    seconds = [learning_seconds(PPMO.load(path / MODEL)) for path in checkpoints_in(tmp_path / "run")]
    assert seconds[0] > seconds[1] > 0
