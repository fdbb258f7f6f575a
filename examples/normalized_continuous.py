"""
Continuous actions and normalised observations: distil Pendulum-v1 behind a `VecNormalize`.

The statistics of the `VecNormalize` become part of the dataset, so the taught policy takes raw observations. Two settings
matter here. A fresh tanh network is an odd function of its input, and one that treats left and right alike would push a
hanging pole as it pushes an upright one: hence ReLU. And the closed-form inner loop fits all 64 labels at once.

    python examples/normalized_continuous.py              # about a minute
"""

import argparse
import time
from pathlib import Path

import gymnasium as gym
import torch as th
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from sb3_distill import PPMO, DistilledPolicy, evaluate_learners, make_vec_env


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timesteps", type=int, default=300_000, help="environment steps of the distillation")
    parser.add_argument("--output", type=Path, default=Path("runs/pendulum.safetensors"), help="the dataset's file")
    options = parser.parse_args()
    th.set_num_threads(1)

    env = VecNormalize(make_vec_env("Pendulum-v1", n_envs=16, seed=0), gamma=0.9)
    settings = dict(inner_loop="ridge", n_instances=64, n_learners=16, weight_decay=0.0, gamma=0.9, n_steps=64, batch_size=256)
    networks = dict(activation_fn=nn.ReLU)
    model = PPMO("MlpPolicy", env, learning_rate="lin_0.005", policy_kwargs=networks, seed=0, **settings)
    start = time.perf_counter()
    model.learn(options.timesteps, progress_bar=True)
    print(f"distilled in {time.perf_counter() - start:.0f} s")
    model.dataset.save(options.output)

    # No VecNormalize from here on.
    policy = DistilledPolicy.from_dataset(options.output, seed=1)
    normalization = policy.dataset.info.normalization
    print(f"stored mean of the observations: {normalization.mean.round(2)}, variance: {normalization.var.round(2)}")
    mean, std = evaluate_policy(policy, gym.make("Pendulum-v1"), 20, warn=False)
    print(f"one fresh network on raw observations: return {mean:.0f} ± {std:.0f} (-150 is about perfect)")
    many = evaluate_learners(options.output, n_learners=20, n_episodes=10, deterministic=True)
    untaught = evaluate_learners(options.output, n_learners=20, n_episodes=10, deterministic=True, teach=False)
    print(f"20 fresh networks: return {many.mean:.0f} ± {many.std:.0f}; the same untaught: {untaught.mean:.0f}")


if __name__ == "__main__":
    main()
