"""What the tests of PPMO as an SB3 algorithm share: environments of any spaces, small models, and comparisons."""

import copy
from functools import partial

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_distill import PPMO, DistilledPolicy

N_ENVS = N_LEARNERS = 4
SETTINGS = dict(
    n_learners=N_LEARNERS, n_instances=4, n_steps=8, batch_size=16, n_epochs=2, policy_kwargs=dict(net_arch=[8]), seed=0
)
ROLLOUT = N_ENVS * SETTINGS["n_steps"]
SB3S = (ValueError, AssertionError, NotImplementedError)
"""What SB3 raises for bad input."""
ACTIONS = {
    "Box": spaces.Box(-2, 1, (2, 3)),
    "Discrete": spaces.Discrete(3),
    "MultiDiscrete": spaces.MultiDiscrete([2, 3]),
    "MultiBinary": spaces.MultiBinary(3),
}
BOX, DISCRETE = spaces.Box(-1, 1, (3,)), ACTIONS["Discrete"]
IMAGE = spaces.Box(0, 255, (36, 36, 1), np.uint8)
VECTORS = spaces.Dict(one=BOX, two=spaces.Box(0, 9, (2,)))
OBSERVATIONS = {
    "Box": BOX,
    "Box2D": spaces.Box(-1, 1, (2, 2), np.float64),
    "Discrete": spaces.Discrete(4),
    "MultiDiscrete": spaces.MultiDiscrete([2, 3]),
    "MultiBinary": spaces.MultiBinary((2, 2)),
    "image": IMAGE,
    "Dict": spaces.Dict(
        vec=BOX, img=IMAGE, discrete=spaces.Discrete(3), multi=spaces.MultiDiscrete([2, 2]), binary=spaces.MultiBinary(2)
    ),
}


class SpacesEnv(gym.Env):
    """
    Any spaces: random observations, the more reward the closer the action is to a fixed one (or always the same reward).
    Every other episode of eight steps is cut off by a time limit.
    """

    def __init__(self, observation_space=BOX, action_space=DISCRETE, reward=None):
        self.observation_space, self.action_space = copy.deepcopy(observation_space), copy.deepcopy(action_space)
        draw = copy.deepcopy(action_space)
        draw.seed(0)
        self.target, self.reward = draw.sample(), reward
        self.steps = self.episodes = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
            self.episodes = 0
        self.steps = 0
        self.episodes += 1
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.steps += 1
        distance = np.abs(np.asarray(action, dtype=float) - self.target).mean()
        reward, end = -distance if self.reward is None else self.reward, self.steps == 8
        by_time_limit = self.episodes % 2 == 0
        return self.observation_space.sample(), float(reward), end and not by_time_limit, end and by_time_limit, {}


def spaces_env(observation_space=BOX, action_space=DISCRETE, n_envs=N_ENVS, cls=DummyVecEnv, reward=None, **kwargs):
    return cls([partial(SpacesEnv, observation_space, action_space, reward)] * n_envs, **kwargs)


def vectorized(cls):
    return cls([SpacesEnv] * N_ENVS, autoreset_mode=AutoresetMode.SAME_STEP)


def alias(space):
    if isinstance(space, spaces.Dict):
        return "MultiInputPolicy"
    return "CnnPolicy" if len(space.shape or ()) == 3 else "MlpPolicy"


def make(env=None, policy=None, **kwargs):
    env = spaces_env() if env is None else env
    space = env.single_observation_space if isinstance(env, gym.vector.VectorEnv) else env.observation_space
    return PPMO(policy or alias(space), env, **{**SETTINGS, **kwargs})


def through_a_file(model, tmp_path, *args, **kwargs):
    model.dataset.save(tmp_path / "set.safetensors")
    return DistilledPolicy.from_dataset(tmp_path / "set.safetensors", *args, seed=0, **kwargs)


def first(observations):
    return {key: value[0] for key, value in observations.items()} if isinstance(observations, dict) else observations[0]


def assert_acts(actor, observations, action_space):
    """All actions are in the space: for a batch and for one observation, sampled and greedy."""
    for deterministic in (True, False):
        batch, _ = actor.predict(observations, deterministic=deterministic)
        one, _ = actor.predict(first(observations), deterministic=deterministic)
        assert len(batch) == N_ENVS
        for action in [*batch, one]:
            assert action_space.contains(action[()])


def same(one, other):
    """Whether two state dicts are equal to the last bit."""
    return one.keys() == other.keys() and all(th.equal(value, other[name]) for name, value in one.items())


def column(folder, name):
    """As in PPO, what is logged by an update is written after the next rollout: the first row has none, the last is lost."""
    rows = [line.split(",") for line in (folder / "progress.csv").read_text().splitlines()]
    return [float(row[rows[0].index(name)]) for row in rows[2:]]
