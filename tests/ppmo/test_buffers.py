"""The rollout buffer: SB3's, read so that each minibatch has every learner."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from contract import VECTORS, make, spaces_env
from helpers import SMALL, small_env
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer

from sb3_distill import PPMO
from sb3_distill.ppmo.buffers import LearnerRolloutBuffer


def test_minibatches_hold_each_learners_own_transitions():
    buffer = LearnerRolloutBuffer(6, gym.spaces.Box(-1, 1, (1,)), gym.spaces.Discrete(2), n_envs=4, n_learners=2)
    for step in range(6):
        obs = np.arange(4, dtype=np.float32).reshape(4, 1) + step / 10
        buffer.add(obs, np.zeros((4, 1)), np.zeros(4), np.zeros(4), th.zeros(4), th.zeros(4))
    buffer.compute_returns_and_advantage(th.zeros(4), np.zeros(4))
    batches = list(buffer.get(8))
    for batch in batches:
        learner_of = batch.observations.flatten().floor().long() // 2
        assert learner_of.tolist() == [0] * 4 + [1] * 4
    everything = th.cat([batch.observations.flatten() for batch in batches])
    assert len(everything.unique()) == 24


def test_foreign_buffers_are_refused():
    with pytest.raises(ValueError, match="`rollout_buffer_class` must derive from LearnerRolloutBuffer"):
        PPMO("MlpPolicy", small_env(), rollout_buffer_class=RolloutBuffer, **SMALL)


def test_other_buffers_are_refused():
    with pytest.raises(ValueError, match="must derive from LearnerRolloutBuffer.*DictRolloutBuffer does not"):
        make(spaces_env(VECTORS), rollout_buffer_class=DictRolloutBuffer)
