"""Episodes are counted, whoever acts."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from sb3_distill.evaluation import play_episodes


class Countdown(gym.Env):
    """Episodes of a given length, with a reward of one for each step."""

    observation_space, action_space = spaces.Box(0, 1, (1,)), spaces.Discrete(2)

    def __init__(self, length):
        self.length = length

    def reset(self, *, seed=None, options=None):
        self.left = self.length
        return np.ones(1, np.float32), {}

    def step(self, action):
        self.left -= 1
        return np.ones(1, np.float32), 1.0, self.left == 0, False, {}


@pytest.mark.parametrize("monitor", [True, False])
def test_short_episodes_do_not_count_more(monitor):
    """Two learners with three environments each play four episodes: the first environment of each plays one more."""
    venv = DummyVecEnv([lambda length=length: Countdown(length) for length in (1, 2, 9, 2, 1, 3)])
    venv = VecMonitor(venv) if monitor else venv
    returns = play_episodes(venv, lambda observations: np.zeros(len(observations), int), 2, 4)
    assert sorted(returns[0]) == [1, 1, 2, 9] and sorted(returns[1]) == [1, 2, 2, 3]


def test_those_who_act_see_what_environments_show():
    seen = []

    def act(observations):
        seen.append(observations.copy())
        return np.zeros(len(observations), int)

    play_episodes(DummyVecEnv([lambda: Countdown(3)]), act, 1, 2)
    assert len(seen) == 6 and all((observations == 1).all() for observations in seen)
