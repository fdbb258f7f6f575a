"""Environments that say which actions are allowed."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_distill import PPMO
from sb3_distill.dagger.masks import are_allowed
from sb3_distill.spaces.sizes import n_classes

KINDS = {"Discrete": spaces.Discrete(5), "MultiDiscrete": spaces.MultiDiscrete([2, 3]), "MultiBinary": spaces.MultiBinary(3)}


class WithoutMasks(gym.Env):
    """Six steps, at each of which nobody says what is allowed."""

    observation_space = spaces.Box(0, 1, (2,), np.float32)

    def __init__(self, actions=KINDS["Discrete"], width=None):
        self.action_space = actions
        self.width = n_classes(actions) if width is None else width

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.action_space.seed(seed)
        self.t, self.allowed = 0, self.action_space.sample()
        return np.ones(2, np.float32), {}

    def step(self, action):
        self.t, self.allowed = self.t + 1, self.action_space.sample()
        return np.ones(2, np.float32), 1.0, self.t >= 6, False, {}


class Locks(WithoutMasks):
    """One allowed action, which the observation does not show; any other one is an error."""

    def action_masks(self):
        mask = np.zeros(self.width, dtype=bool)
        sizes = getattr(self.action_space, "nvec", [2] * 3 if isinstance(self.action_space, spaces.MultiBinary) else [5])
        first = np.cumsum(sizes) - sizes
        mask[first + np.reshape(self.allowed, -1).astype(int)] = True
        return mask

    def step(self, action):
        if not are_allowed(np.asarray([action]), self.action_masks()[None], self.action_space)[0]:
            raise RuntimeError("locked")
        return super().step(action)


def dataset_of(actions):
    """A set that nobody has trained."""
    env = DummyVecEnv([lambda: WithoutMasks(actions)] * 2)
    return PPMO("MlpPolicy", env, n_instances=8, n_learners=2, n_steps=8, batch_size=8, seed=0).dataset
