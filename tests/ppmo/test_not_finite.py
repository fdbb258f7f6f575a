"""Numbers that are not finite stop a run, and nothing is lost."""

import numpy as np
import pytest
import torch as th
from helpers import SMALL, FaultyEnv, small_env
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_distill import PPMO, SyntheticDataset


@pytest.mark.parametrize("what", ["reward", "observation"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_not_finite_stops_training_and_nothing_is_lost(tmp_path, log_to_csv, what, value, normalized):
    env = DummyVecEnv([lambda i=i: FaultyEnv(40 if i == 1 else 0, what, value) for i in range(4)])
    env = VecNormalize(env) if normalized else env
    model = PPMO("MlpPolicy", env, **{**SMALL, "n_steps": 16, "batch_size": 32})
    log_to_csv(model, tmp_path)
    last = {}

    class Keep(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            last.update({name: tensor.clone() for name, tensor in self.model.dataset.state_dict().items()})

    # An observation comes with the step before it: at step 40 it is what step 40 acts on, counting from 0.
    step = 39 if what == "reward" else 40
    where = "environments 0, 1, 2, 3" if normalized else "environment 1"  # statistics spread it
    with pytest.raises(FloatingPointError, match=f"{what} is NaN or infinite at step {step} of {where}"):
        model.learn(10_000, callback=Keep())
    assert model.dataset.is_finite()
    rescued = SyntheticDataset.load(tmp_path / "last_finite_dataset.safetensors")
    assert not normalized or np.isfinite(rescued.info.normalization.mean).all()
    for name, value in last.items():
        assert th.equal(value, model.dataset.state_dict()[name])
        assert th.equal(value, rescued.state_dict()[name])


def test_gradients_that_are_not_finite_are_skipped_and_counted():
    model = PPMO("MlpPolicy", small_env(), **SMALL)
    model.learn(256)
    with th.no_grad():
        model.dataset.labels.fill_(1e30)
        model.dataset.log_inner_learning_rates.fill_(50.0)
    model.train()
    assert model.logger.name_to_value["train/skipped_steps"] > 0
    assert model.dataset.is_finite()


@pytest.mark.parametrize("end", ["rollout", "episode"])
def test_the_last_observation_of_a_rollout_or_an_episode_is_checked_too(end):
    # FaultyEnv cuts its episodes after 50 steps; a rollout has 16.
    bad_step = 16 if end == "rollout" else 50
    env = DummyVecEnv([lambda i=i: FaultyEnv(bad_step if i == 1 else 0, "observation") for i in range(4)])
    model = PPMO("MlpPolicy", env, **{**SMALL, "n_steps": 16, "batch_size": 32})
    with pytest.raises(FloatingPointError, match=f"observation.* at step {16 if end == 'rollout' else 49} of environment 1"):
        model.learn(4 * 64)
    assert all(parameter.isfinite().all() for parameter in model.policy.parameters())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # in the variance that SB3 explains
def test_steps_of_the_critic_that_are_not_finite_are_counted():
    model = PPMO("MlpPolicy", small_env(), **SMALL)
    model.learn(256)
    assert model.logger.name_to_value["train/skipped_critic_steps"] == 0
    model.rollout_buffer.returns.fill(1e30)
    model.rollout_buffer.generator_ready = False  # its tensors are made anew
    model.train()
    assert model.logger.name_to_value["train/skipped_critic_steps"] > 0
    assert all(value.isfinite().all() for value in model.critic.parameters)
