"""
A distilled policy as the start of ordinary training: teach it a shipped set, make SB3's `PPO` of it, learn on, save.

The set knows how to balance the pole. PPO adds what the set does not know: a reward for standing one metre to the right.

    python examples/continue_with_ppo.py
"""

import argparse
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

from sb3_distill import DistilledPolicy, make_vec_env


class StandRight(gym.Wrapper):
    """Cart-pole with a reward of 1 at x = 1 m that falls to 0 within a metre; balancing elsewhere earns nothing."""

    def step(self, action: Any) -> Any:
        observation, _, terminated, truncated, info = self.env.step(action)
        return observation, max(0.0, 1.0 - abs(float(observation[0]) - 1.0)), terminated, truncated, info


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timesteps", type=int, default=80_000, help="environment steps of PPO")
    parser.add_argument("--output", type=Path, default=Path("runs/stand_right.zip"), help="the agent's file")
    options = parser.parse_args()
    th.set_num_threads(1)

    policy = DistilledPolicy.from_dataset("NDCartPole1D-v0", seed=0)
    balance, _ = evaluate_policy(policy, make_vec_env("CartPole-v1", n_envs=16, seed=0), 32)
    print(f"taught, return for balancing:      {balance:.0f} of 500")

    env = make_vec_env(lambda **kwargs: StandRight(gym.make("CartPole-v1", **kwargs)), n_envs=16, seed=0)
    settings = dict(n_steps=128, batch_size=256, learning_rate=1e-3, gamma=0.98, ent_coef=0.01)
    model = policy.to_algorithm(PPO, env, seed=0, **settings)  # the arguments of PPO
    before, _ = evaluate_policy(model, env, 32)
    print(f"taught, return for standing right: {before:.0f}")
    model.learn(options.timesteps)
    after, _ = evaluate_policy(model, env, 32)
    print(f"after {options.timesteps:,} steps of PPO:       {after:.0f}")

    options.output.parent.mkdir(parents=True, exist_ok=True)
    model.save(options.output)  # an SB3 zip like any other
    print(f"{options.output}: PPO.load opens it")


if __name__ == "__main__":
    main()
