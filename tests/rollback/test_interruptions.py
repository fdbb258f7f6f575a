"""Ctrl-C: what was learned is saved, and learning goes on."""

import pytest
from helpers import SMALL
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.vec_env import VecNormalize

from sb3_distill import PPMO, make_vec_env
from sb3_distill.rollback import Checkpoints, resume
from sb3_distill.rollback.checkpoints import checkpoints_in, save


def environment():
    return VecNormalize(make_vec_env("NDCartPole1D-v0", 8, seed=0))


class CtrlC(BaseCallback):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def _on_step(self):
        if self.num_timesteps == self.at:
            raise KeyboardInterrupt
        return True


@pytest.mark.parametrize("nest", [list, CallbackList])
def test_what_was_learned_is_saved_and_goes_on(tmp_path, nest):
    model = PPMO("MlpPolicy", environment(), **SMALL)
    with pytest.raises(KeyboardInterrupt):
        model.learn(10_000, nest([Checkpoints(tmp_path, minutes=1e9), CtrlC(600)]))
    assert [path.name for path in checkpoints_in(tmp_path)] == ["000000000512"]  # the rollout that was cut off taught nothing
    assert model.num_timesteps == 600
    again = resume(PPMO, tmp_path, environment())
    again.learn(256, Checkpoints(tmp_path), reset_num_timesteps=False)
    assert again.num_timesteps == 768
    assert model.dataset.is_finite()
    model.save(tmp_path / "model.zip")
    assert model.learn(256, reset_num_timesteps=False).num_timesteps >= 856


def test_an_interruption_before_anything_was_learned_saves_nothing(tmp_path):
    model = PPMO("MlpPolicy", environment(), **SMALL)
    with pytest.raises(KeyboardInterrupt):
        model.learn(10_000, [Checkpoints(tmp_path, minutes=1e9), CtrlC(8)])
    assert checkpoints_in(tmp_path) == []


def test_a_run_of_no_steps_goes_on(tmp_path):
    save(PPMO("MlpPolicy", environment(), **SMALL), tmp_path)
    model = resume(PPMO, tmp_path, environment())
    assert model.learn(256, Checkpoints(tmp_path), reset_num_timesteps=False).num_timesteps == 256


def test_a_checkpoint_of_the_same_step_is_there_at_every_moment(tmp_path):
    model = PPMO("MlpPolicy", environment(), **SMALL).learn(256)
    path = save(model, tmp_path)
    path.rename(path.with_suffix(".replaced"))  # as where a process was killed between two renames
    assert resume(PPMO, tmp_path, environment()).num_timesteps == 256
    save(model, tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["000000000256"]
