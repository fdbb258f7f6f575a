"""
Does a change of the code change what is learned? Short trainings, and a digest of the dataset after every update.

    python benchmarks/checks/dataset_digests.py --write before.json     # with the old code
    python benchmarks/checks/dataset_digests.py --compare before.json   # with the new code, on the same machine

The comparison names the first update whose dataset differs, and exits with 1. Every argument of the trainings is written out,
so that changed defaults change nothing here. Figures depend on the machine: nothing is committed, and CI does not run this.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env as sb3_make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_distill import PPMO, DAgger, Expert, make_vec_env

EVERY_ARGUMENT: dict[str, Any] = dict(
    n_learners=4, learner_distribution=None, inner_loop="sgd", inner_learning_rate=1.0, inner_rate_per_role=False,
    inner_rate_relative=False, n_inner_steps=1, initial_dataset=None, dataset_init="normal", encoder_layers=0,
    encoder_from=None, learning_rate=0.005, labels_learning_rate=0.05, rates_learning_rate=0.025, log_std_learning_rate=0.005,
    critic_learning_rate=0.0025, encoder_learning_rate=0.00025, input_scale_learning_rate=None, weight_decay=0.1, n_steps=64,
    batch_size=256, n_epochs=2, gamma=0.99, gae_lambda=0.95, clip_range=0.2, clip_range_vf=None, normalize_advantage=True,
    ent_coef=0.0, vf_coef=0.5, max_grad_norm=0.5, autocast_dtype=None, use_sde=False, sde_sample_freq=-1, target_kl=None,
    policy_kwargs=None, normalize=False, seed=0, device="cpu",
)  # fmt: skip
ONLY_FOR_REWARDS = (
    "gamma", "gae_lambda", "clip_range", "clip_range_vf", "normalize_advantage", "ent_coef", "vf_coef", "n_epochs",
    "target_kl", "critic_learning_rate", "use_sde", "sde_sample_freq",
)  # fmt: skip


class Dots(gym.Env[Any, Any]):
    """Images: a bright dot says which action is right."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(0, 255, (1, 36, 36), np.uint8)
        self.action_space = spaces.Discrete(3)
        self.steps = 0

    def _image(self) -> np.ndarray:
        self.right = int(self.np_random.integers(3))
        image = np.zeros((1, 36, 36), np.uint8)
        image[0, 12 * self.right : 12 * self.right + 12, 8:20] = 255
        return image

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self._image(), {}

    def step(self, action: Any) -> Any:
        reward, self.steps = float(action == self.right), self.steps + 1
        return self._image(), reward, False, self.steps % 20 == 0, {}


class Parts(gym.Env[Any, Any]):
    """A ``Dict`` observation, and several discrete choices."""

    def __init__(self) -> None:
        self.observation_space = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Discrete(3)})
        self.action_space = spaces.MultiDiscrete([2, 3])
        self.steps = 0

    def _parts(self) -> dict[str, Any]:
        self.b = int(self.np_random.integers(3))
        self.a = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return {"a": self.a, "b": self.b}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self._parts(), {}

    def step(self, action: Any) -> Any:
        reward, self.steps = float(action[1] == self.b) + float(action[0] == (self.a[0] > 0)), self.steps + 1
        return self._parts(), reward, False, self.steps % 20 == 0, {}


def digest(dataset: Any) -> str:
    sha = hashlib.sha256()
    for name, value in sorted(dataset.state_dict().items()):
        sha.update(name.encode())
        sha.update(value.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


def learn(model: Any, total_timesteps: int) -> list[str]:
    digests = [digest(model.dataset)]
    model.dataset_optimizer.register_step_post_hook(lambda *_: digests.append(digest(model.dataset)))
    model.learn(total_timesteps)
    digests.append(digest(model.dataset))
    with th.no_grad():
        digests += [hashlib.sha256(value.numpy().tobytes()).hexdigest()[:16] for value in model.policy.state_dict().values()]
    return digests


def cart_pole(total_timesteps: int = 16 * 64 * 4, policy: str = "MlpPolicy", **changes: Any) -> list[str]:
    env = make_vec_env("NDCartPole2D-v0", 16, seed=0)
    return learn(PPMO(policy, env, **{**EVERY_ARGUMENT, "n_instances": 8, **changes}), total_timesteps)


def pendulum(**changes: Any) -> list[str]:
    env = VecNormalize(sb3_make_vec_env("Pendulum-v1", 8, seed=0), gamma=0.99)
    return learn(PPMO("MlpPolicy", env, **{**EVERY_ARGUMENT, "n_instances": 16, **changes}), 8 * 64 * 3)


def images(level: int, start: Any = None, **changes: Any) -> tuple[Any, list[str]]:
    env = VecNormalize(DummyVecEnv([Dots for _ in range(4)]), norm_obs=False)
    env.seed(0)
    arguments = {
        **EVERY_ARGUMENT, "n_instances": 4, "n_learners": 2, "encoder_layers": level, "encoder_from": start, "n_steps": 16,
        "batch_size": 32, "n_epochs": 1, "inner_learning_rate": None, "inner_rate_relative": None, **changes,
    }  # fmt: skip
    model = PPMO("CnnPolicy", env, **arguments)
    return model.dataset, learn(model, 4 * 16 * 3)


def ladder() -> list[str]:
    above, first = images(4, dataset_init="observations")
    return first + images(2, above)[1]


def parts() -> list[str]:
    env = DummyVecEnv([Parts for _ in range(8)])
    env.seed(0)
    return learn(PPMO("MultiInputPolicy", env, **{**EVERY_ARGUMENT, "n_instances": 5, "ent_coef": 0.01}), 8 * 64 * 3)


def clone() -> list[str]:
    expert = Expert(PPO("MlpPolicy", "Pendulum-v1", seed=3, device="cpu").policy)
    env = VecNormalize(sb3_make_vec_env("Pendulum-v1", 8, seed=0), norm_reward=False)
    arguments = {name: value for name, value in EVERY_ARGUMENT.items() if name not in ONLY_FOR_REWARDS}
    arguments |= dict(n_instances=16, expert_share=0.5, n_updates=8, batch_size=512, buffer_size=10_000)
    return learn(DAgger("MlpPolicy", env, expert, **arguments), 8 * 64 * 3)


MIXTURE = [
    {"init": "orthogonal"}, {"init": ["xavier_normal", "kaiming_uniform", "pytorch"], "width": [8, 32], "depth": [1, 3],
                             "activation": ["tanh", "relu", "silu"], "layer_norm": 0.5, "last_gain": 1.0},
]  # fmt: skip
CASES: dict[str, Callable[[], list[str]]] = {
    "cart-pole, one step": cart_pole,
    "cart-pole, ridge": lambda: cart_pole(inner_loop="ridge"),
    "cart-pole, mixture": lambda: cart_pole(learner_distribution=MIXTURE),
    "cart-pole, mixture, three steps per role, relative": lambda: cart_pole(
        learner_distribution=MIXTURE, n_inner_steps=3, inner_rate_per_role=True, inner_rate_relative=True
    ),
    "cart-pole, entropy, KL limit, value clipping, schedules": lambda: cart_pole(
        ent_coef=0.01, target_kl=0.0005, clip_range_vf=0.2, learning_rate="lin_0.01", clip_range="lin_0.2", batch_size=300
    ),
    "cart-pole, observations": lambda: cart_pole(dataset_init="observations"),
    "cart-pole, encoder": lambda: cart_pole(encoder_layers=1),
    "cart-pole, all layers": lambda: cart_pole(encoder_layers=3),
    "cart-pole, continued": lambda: cart_pole(n_instances=None, initial_dataset="NDCartPole2D-v0/wide"),
    "Pendulum": pendulum,
    "Pendulum, input scale": lambda: pendulum(input_scale_learning_rate=0.01, inner_rate_per_role=True),
    "Pendulum, gSDE": lambda: pendulum(use_sde=True, sde_sample_freq=4),
    "images, encoder": lambda: images(3)[1],
    "images, ladder": ladder,
    "Dict observations": parts,
    "clone": clone,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path)
    action.add_argument("--compare", type=Path)
    parser.add_argument("--only", help="cases whose name contains this")
    options = parser.parse_args()
    th.set_num_threads(1)
    before = json.loads(options.compare.read_text()) if options.compare else {}
    results, differ = {}, False
    for name, case in CASES.items():
        if options.only and options.only not in name:
            continue
        results[name] = case()
        if options.compare is None:
            print(f"{name}: {len(results[name])} digests", flush=True)
            continue
        old, new = before[name], results[name]
        first = next((i for i, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), None)
        if first is None and len(old) != len(new):
            first = min(len(old), len(new))
        print(
            f"{name}: " + (f"the same {len(new)}" if first is None else f"DIFFERS at digest {first} of {len(old)}"), flush=True
        )
        differ |= first is not None
    if options.write:
        options.write.write_text(json.dumps(results))
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
