"""
Files as a version of sb3-distill writes them: ``python tests/data/make.py`` makes the folder of the installed version.

They stay for ever, and every later version must read them (``tests/test_old_files.py``). A folder is made once, with the code
of its release, and never again.
"""

import importlib.metadata
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env as sb3_make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from sb3_distill import PPMO, LearnerDistribution, SyntheticDataset, make_vec_env
from sb3_distill.rollback.checkpoints import Checkpoints

SMALL: dict[str, Any] = dict(
    policy_kwargs=dict(net_arch=[8, 8]), n_steps=16, n_learners=2, batch_size=32, seed=0, device="cpu"
)


class Pixels(gym.Env[Any, Any]):
    """Images of 8x8 bytes: the bright half says which action is right."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(0, 255, (1, 8, 8), np.uint8)
        self.action_space = spaces.Discrete(2)
        self.steps = 0

    def _image(self) -> Any:
        self.right = int(self.np_random.integers(2))
        image = np.zeros((1, 8, 8), np.uint8)
        image[0, :, 4 * self.right : 4 * self.right + 4] = 255
        return image

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self._image(), {}

    def step(self, action: Any) -> Any:
        reward, self.steps = float(action == self.right), self.steps + 1
        return self._image(), reward, False, self.steps % 10 == 0, {}


class Parts(gym.Env[Any, Any]):
    """A ``Dict`` observation."""

    def __init__(self) -> None:
        self.observation_space = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Discrete(3)})
        self.action_space = spaces.Discrete(3)
        self.steps = 0

    def _parts(self) -> Any:
        self.b = int(self.np_random.integers(3))
        return {"a": self.np_random.uniform(-1, 1, 2).astype(np.float32), "b": self.b}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self._parts(), {}

    def step(self, action: Any) -> Any:
        reward, self.steps = float(action == self.b), self.steps + 1
        return self._parts(), reward, False, self.steps % 10 == 0, {}


def discrete_env() -> VecEnv:
    return make_vec_env("NDCartPole1D-v0", 4, seed=0)


def box_env() -> VecEnv:
    return VecNormalize(sb3_make_vec_env("Pendulum-v1", 4, seed=0), gamma=0.99)


def pixels_env() -> VecEnv:
    return DummyVecEnv([Pixels for _ in range(4)])


def parts_env() -> VecEnv:
    return DummyVecEnv([Parts for _ in range(4)])


MIXTURE = LearnerDistribution.parse([{"init": "xavier_normal"}, {"width": [4, 8], "depth": 1, "layer_norm": 0.5}])
KINDS: dict[str, tuple[Callable[[], VecEnv], str, dict[str, Any]]] = {
    "discrete": (discrete_env, "MlpPolicy", {}),
    "box": (box_env, "MlpPolicy", dict(n_instances=6, input_scale_learning_rate=0.01)),
    "images": (pixels_env, "MlpPolicy", dict(encoder_layers=1)),
    "mixture": (discrete_env, "MlpPolicy", dict(learner_distribution=MIXTURE, n_instances=4)),
    "ridge": (discrete_env, "MlpPolicy", dict(inner_loop="ridge", initial_dataset=None)),
    "dict": (parts_env, "MultiInputPolicy", {}),
}
"""Environments, policy and arguments of each kind of model."""


def observations_of(env: VecEnv) -> Any:
    """Five observations, the same for every version."""
    env.observation_space.seed(1)
    if isinstance(env.observation_space, spaces.Dict):
        rng = np.random.default_rng(1)
        return {"a": rng.uniform(-1, 1, (5, 2)).astype(np.float32), "b": rng.integers(0, 3, 5)}
    if env.observation_space.dtype == np.uint8:
        return np.random.default_rng(1).integers(0, 256, (5, *(env.observation_space.shape or ())), dtype=np.uint8)
    return np.random.default_rng(1).normal(size=(5, *(env.observation_space.shape or ()))).astype(np.float32)


def answers_of(model: Any, observations: Any) -> list[list[float]]:
    """What the policy of a model, and the learner that its dataset teaches, make of observations."""
    tensors, _ = model.policy.obs_to_tensor(observations)
    with th.no_grad():
        distribution = model.policy.get_distribution(tensors).distribution
    parts = distribution if isinstance(distribution, list) else [distribution]
    values = [part.mean if hasattr(part, "loc") else part.logits for part in parts]
    return th.cat(values, dim=-1).double().tolist()


def main() -> None:
    version = sys.argv[1] if len(sys.argv) > 1 else importlib.metadata.version("sb3-distill")
    folder = Path(__file__).parent / version
    folder.mkdir()
    answers = {}
    for kind, (make, policy, arguments) in KINDS.items():
        env = make()
        model = PPMO(policy, env, **{**SMALL, **arguments}).learn(2 * 4 * 16)
        model.save(folder / f"{kind}.zip")
        model.dataset.save(folder / f"{kind}.safetensors")
        answers[kind] = answers_of(model, observations_of(env))
    env = box_env()
    start = SyntheticDataset.load(folder / "box.safetensors")  # a set that is held by the model, hence by its zip
    PPMO("MlpPolicy", env, **SMALL, initial_dataset=start).learn(2 * 4 * 16, Checkpoints(folder / "checkpoints", 0.0))
    (folder / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
