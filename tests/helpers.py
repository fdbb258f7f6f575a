"""What several tests need: a hand-made dataset, tiny environments."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from scipy import stats
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from nd_cartpole.env import observation_space
from sb3_distill import SyntheticDataset, make_vec_env
from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.inner_loop.gradient_steps import GradientSteps
from sb3_distill.spaces.sizes import n_outputs, preprocessed_shape

SMALL = dict(n_steps=32, batch_size=128, n_epochs=2, policy_kwargs=dict(net_arch=[16]), seed=0)
"""Settings of a run that takes a tenth of a second."""


def simplex_dataset(n_dims: int, learning_rate: float, scale: float = 3.0) -> SyntheticDataset:
    """
    N + 1 instances that solve N-D cart-pole by construction: at each vertex of a simplex in the space of the axes, a pole
    state that leans that way, labelled with pushes against it.
    """
    k = n_dims + 1
    centred = np.eye(k) - 1 / k
    vertices = np.linalg.svd(centred)[0][:, :n_dims] * np.sqrt(k / n_dims) * np.sqrt(n_dims / (k - 1))
    vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    observations = np.kron(vertices, [0.02, 0.05, 0.9, 0.22])
    labels = scale * np.kron(vertices, [-1.0, 1.0])
    loop = GradientSteps(learning_rate=learning_rate)
    info = DatasetInfo(
        observation_space(n_dims),
        spaces.Discrete(2 * n_dims),
        env_id=f"NDCartPole{n_dims}D-v0",
        policy="MlpPolicy",
        inner_loop=loop.settings(),
    )
    return SyntheticDataset(th.tensor(observations).float(), th.tensor(labels).float(), loop, info)


class FaultyEnv(gym.Env[Any, Any]):
    """Goes wrong at a given step: a reward or an observation that is not finite."""

    def __init__(self, bad_step: int, what: str, value: float = float("nan"), continuous: bool = False) -> None:
        self.observation_space = spaces.Box(-1, 1, (3,))
        self.action_space = spaces.Box(-1, 1, (2,)) if continuous else spaces.Discrete(3)
        self.bad_step, self.what, self.value, self.steps = bad_step, what, value, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(3, dtype=np.float32), {}

    def step(self, action: Any) -> Any:
        if isinstance(self.action_space, spaces.Discrete) and not 0 <= int(action) < 3:
            raise ValueError(f"no index {action}")
        self.steps += 1
        observation, reward = np.zeros(3, dtype=np.float32), 1.0
        if self.steps == self.bad_step and self.what == "reward":
            reward = self.value
        if self.steps == self.bad_step and self.what == "observation":
            observation[1] = self.value
        return observation, reward, False, self.steps % 50 == 0, {}


class OwnExtractor(BaseFeaturesExtractor):
    """A features extractor with code of its own, 5 wide."""

    def __init__(self, observation_space: spaces.Box) -> None:
        super().__init__(observation_space, 5)
        self.layer = th.nn.Linear(observation_space.shape[0], 5)

    def forward(self, observations: th.Tensor) -> th.Tensor:
        return self.layer(observations).relu()  # type: ignore[no-any-return]


class ReachEnv(gym.Env[Any, Any]):
    """Continuous actions: point at a target that is seen; ten times, then the episode is cut off."""

    def __init__(self) -> None:
        self.observation_space = self.action_space = spaces.Box(-1, 1, (2,))
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.target = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.target, {}

    def step(self, action: Any) -> Any:
        reward = -float(np.square(action - self.target).sum())
        self.steps += 1
        self.target = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.target, reward, False, self.steps % 10 == 0, {}


class ImageEnv(gym.Env):
    """Which half of the picture is bright?"""

    observation_space = spaces.Box(0, 255, (1, 36, 36), np.uint8)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.draw(), {}

    def draw(self):
        self.side = int(self.np_random.integers(2))
        image = np.zeros((1, 36, 36), dtype=np.uint8)
        image[:, :, 18 * self.side : 18 * self.side + 18] = 255
        return image

    def step(self, action):
        reward = float(action == self.side)
        self.steps += 1
        return self.draw(), reward, False, self.steps % 10 == 0, {}


def small_env(n_envs=8, env_id="NDCartPole2D-v0"):
    return make_vec_env(env_id, n_envs, seed=0)


def improved(before, after):
    """A permutation test on the mean returns of learners: no lucky threshold."""
    result = stats.permutation_test(
        (after.learner_means, before.learner_means), lambda x, y, axis: x.mean(axis) - y.mean(axis), alternative="greater",
        vectorized=True, n_resamples=2000, rng=np.random.default_rng(0),
    )  # fmt: skip
    return result.pvalue < 0.01


def random_dataset(observation_space, action_space, k=6, seed=0, env_id=None, **info):
    """A dataset of numbers that nobody has learned, for any spaces."""
    generator = th.Generator().manual_seed(seed)
    shape = preprocessed_shape(observation_space)
    draw = lambda size: th.randn((k, *size), generator=generator)  # noqa: E731
    observations = {key: draw(part) for key, part in shape.items()} if isinstance(shape, dict) else draw(shape)
    name = "MultiInputPolicy" if isinstance(shape, dict) else "CnnPolicy" if len(shape) == 3 else "MlpPolicy"
    loop = GradientSteps(learning_rate=1.0)
    about = DatasetInfo(observation_space, action_space, env_id, policy=name, inner_loop=loop.settings(), **info)
    width = n_outputs(action_space)
    log_std = th.zeros(width) if isinstance(action_space, spaces.Box) else None
    return SyntheticDataset(observations, 3 * draw((width,)), loop, about, log_std=log_std)
