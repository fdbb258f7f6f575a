"""
From an environment to agents: distil 2-D cart-pole, save the dataset, teach a fresh network, play, evaluate.

    python examples/quick_start.py                        # half a minute
    python examples/quick_start.py --timesteps 2000000    # a little better
"""

import argparse
import time
from pathlib import Path

import torch as th

from sb3_distill import PPMO, DistilledPolicy, evaluate_learners, make_vec_env


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timesteps", type=int, default=1_200_000, help="environment steps of the distillation")
    parser.add_argument("--output", type=Path, default=Path("runs/cartpole2d.safetensors"), help="the dataset's file")
    options = parser.parse_args()
    th.set_num_threads(1)  # small networks are fastest so

    # Distil: the result is not a network, but sixteen observations with a label each.
    model = PPMO("MlpPolicy", make_vec_env("NDCartPole2D-v0", n_envs=64), gamma=0.995, seed=0)
    start = time.perf_counter()
    model.learn(options.timesteps, progress_bar=True)
    print(f"distilled in {time.perf_counter() - start:.0f} s")
    model.dataset.save(options.output)

    # Teach: a network that was never in the environment, one gradient step.
    policy = DistilledPolicy.from_dataset(options.output, seed=1)

    # Play one episode. `policy` is an SB3 policy, and takes raw observations.
    env = make_vec_env("NDCartPole2D-v0", seed=2)
    observation, done, steps = env.reset(), False, 0
    while not done:
        action, _ = policy.predict(observation, deterministic=True)
        observation, _, (done,), _ = env.step(action)
        steps += 1
    print(f"one episode of one agent: the poles stay up for {steps} of 500 steps")

    # Evaluate: many fresh networks, many episodes each.
    for deterministic in (False, True):
        result = evaluate_learners(options.output, n_learners=50, n_episodes=20, deterministic=deterministic)
        kind = "greedy" if deterministic else "sampled"
        print(f"50 fresh networks, {kind} actions: return {result.mean:.1f} ± {result.std:.1f}")
    print(f"dataset: {options.output} ({options.output.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
