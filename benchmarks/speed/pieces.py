"""
One piece of work that ``versions.py`` times: a short training with whatever ``sb3_distill`` is on ``PYTHONPATH``.

    PYTHONPATH=FOLDER:FOLDER/envs python benchmarks/speed/pieces.py cart-pole

It imports nothing of this checkout, and all arguments of ``PPMO`` are written out, so that it runs any version, with changed
defaults too. It prints a line of JSON: the seconds of ``learn`` after a warm-up (of the wall, and of
this process's CPU), its steps, and the checkout of the package.
"""

import argparse
import importlib
import importlib.util
import inspect
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

import sb3_distill
from sb3_distill import PPMO, make_vec_env

CHECKOUT = Path(sb3_distill.__file__).parents[1]
ARGUMENTS: dict[str, Any] = dict(
    n_instances=16, n_learners=8, learner_distribution=None, inner_loop="sgd", inner_learning_rate=1.0,
    inner_rate_per_role=False, inner_rate_relative=False, n_inner_steps=1, initial_dataset=None, dataset_init="normal",
    encoder_layers=0, encoder_from=None, learning_rate=0.005, labels_learning_rate=0.05, rates_learning_rate=0.025,
    log_std_learning_rate=0.005, critic_learning_rate=0.0025, encoder_learning_rate=0.00025, input_scale_learning_rate=None,
    weight_decay=0.1, n_steps=128, batch_size=2048, n_epochs=1, gamma=0.99, gae_lambda=0.95, clip_range=0.2,
    clip_range_vf=None, normalize_advantage=True, ent_coef=0.0, vf_coef=0.5, max_grad_norm=0.5, autocast_dtype=None,
    use_sde=False, sde_sample_freq=-1, target_kl=None, policy_kwargs=None, seed=0, device="cpu",
)  # fmt: skip
if "normalize" in inspect.signature(PPMO).parameters:  # which older checkouts do not have
    ARGUMENTS["normalize"] = False


class Images(gym.Env[Any, Any]):
    """What an Atari game costs without its emulator: four frames of 84 x 84, an episode of 200 steps."""

    observation_space = spaces.Box(0, 255, (4, 84, 84), np.uint8)
    action_space = spaces.Discrete(6)

    def __init__(self) -> None:
        self.frames = np.random.default_rng(0).integers(0, 256, (16, 4, 84, 84), dtype=np.uint8)
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.frames[0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        index = self.steps % 16
        return self.frames[index], float(action == index % 6), False, self.steps % 200 == 0, {}


def image_env() -> VecEnv:
    """A game of Atari where the emulator is installed."""
    if importlib.util.find_spec("ale_py") is None:
        env: VecEnv = DummyVecEnv([Images for _ in range(8)])
        env.seed(0)
        return env
    room = "environments.atari" if (CHECKOUT / "sb3_distill" / "environments").is_dir() else "atari"  # where it once was
    vec_env_cls = importlib.import_module(f"sb3_distill.{room}.vec_env").AtariVecEnv
    return make_vec_env("CentipedeNoFrameskip-v4", 8, seed=0, vec_env_cls=vec_env_cls)


def cart_pole(n_epochs: int) -> PPMO:
    return PPMO("MlpPolicy", make_vec_env("NDCartPole2D-v0", 64, seed=0), **{**ARGUMENTS, "n_epochs": n_epochs})


def continuous() -> PPMO:
    """A task of MuJoCo where it is installed, else Pendulum."""
    env_id = "HalfCheetah-v4" if importlib.util.find_spec("mujoco") else "Pendulum-v1"
    env = VecNormalize(make_vec_env(env_id, 32, seed=0), gamma=0.99)
    return PPMO("MlpPolicy", env, **{**ARGUMENTS, "n_instances": 64, "n_steps": 64, "batch_size": 512, "n_epochs": 4})


def images() -> PPMO:
    """The Nature CNN, whose first two layers are in the encoder."""
    env = VecNormalize(image_env(), norm_obs=False)
    changes = {"n_instances": 10, "n_learners": 2, "encoder_layers": 2, "n_steps": 64, "batch_size": 128, "n_epochs": 2}
    rates = {"inner_learning_rate": None, "inner_rate_relative": None}
    return PPMO("CnnPolicy", env, **{**ARGUMENTS, **changes, **rates})


def check_modules() -> None:
    """
    Where this package is installed for development, Python takes modules that a checkout lacks from there.

    :raises SystemExit: if modules of two checkouts are mixed
    """
    for name, module in list(sys.modules.items()):
        is_ours = name.partition(".")[0] in ("sb3_distill", "nd_cartpole")
        if is_ours and not Path(module.__file__ or "").is_relative_to(CHECKOUT):
            raise SystemExit(f"{name} is {module.__file__}, not of {CHECKOUT}: put the checkout's envs/ on PYTHONPATH too")


PIECES: dict[str, tuple[Callable[[], PPMO], int]] = {
    "cart-pole": (lambda: cart_pole(1), 1_000_000),
    "cart-pole, 4 epochs": (lambda: cart_pole(4), 400_000),
    "continuous": (continuous, 120_000),
    "images": (images, 1_000),
}
"""Models, and environment steps that take 3 to 8 seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("piece", choices=list(PIECES))
    options = parser.parse_args()
    th.set_num_threads(1)
    gym.logger.min_level = gym.logger.ERROR
    make, steps = PIECES[options.piece]
    model = make()
    model.learn(1)  # a rollout and its updates
    before, start, cpu_start = model.num_timesteps, time.perf_counter(), time.process_time()
    model.learn(steps, reset_num_timesteps=False)
    times = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu_start}
    check_modules()
    print(json.dumps({**times, "steps": model.num_timesteps - before, "checkout": str(CHECKOUT)}))


if __name__ == "__main__":
    main()
