"""Rollouts of random actions."""

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_distill.environments.random_rollout import random_rollout

N_ENVS = 3


class Counting(gym.Env):
    """Shows its number and its step; a chosen step may show NaN."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, number, bad_step=None):
        self.number, self.bad_step = number, bad_step

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return self.shown(), {}

    def step(self, action):
        self.steps += 1
        return self.shown(), 0.0, False, False, {}

    def shown(self):
        return np.array([self.number, np.nan if self.steps == self.bad_step else self.steps], np.float32)


class CountingDict(Counting):
    observation_space = gym.spaces.Dict(a=Counting.observation_space, n=gym.spaces.Discrete(N_ENVS))

    def shown(self):
        return {"a": super().shown(), "n": self.number}


def vec_env(env_class, **kwargs):
    return DummyVecEnv([lambda i=i: env_class(i, **kwargs) for i in range(N_ENVS)])


def test_observations_come_step_by_step_and_environment_by_environment():
    visited = random_rollout(vec_env(Counting), 2)
    assert np.stack(visited).tolist() == [[0, 1], [1, 1], [2, 1], [0, 2], [1, 2], [2, 2]]


def test_observations_of_a_dict_are_dicts():
    visited = random_rollout(vec_env(CountingDict), 2)
    assert len(visited) == 2 * N_ENVS
    assert visited[4]["a"].tolist() == [1, 2]
    assert visited[4]["n"] == 1


def test_an_observation_that_is_not_finite_is_told():
    with pytest.raises(FloatingPointError, match="at step 2 of environments 0, 1, 2"):
        random_rollout(vec_env(Counting, bad_step=2), 3)


def test_the_action_space_decides_and_statistics_follow():
    def rollout():
        env = VecNormalize(DummyVecEnv([lambda: gym.make("CartPole-v1") for _ in range(N_ENVS)]))
        env.seed(0)
        env.action_space.seed(1)
        return np.stack(random_rollout(env, 5)), env.obs_rms.count

    (first, count), (second, _) = rollout(), rollout()
    np.testing.assert_array_equal(first, second)
    assert round(count) == 6 * N_ENVS  # the first observations count too
