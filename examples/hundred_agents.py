"""
A hundred agents in seconds, and what they are good for: a majority vote plays better than its members.

The networks are twice as deep as those the shipped set was made for, so a single one is unreliable. All of them learn from
the same six instances and differ by their initial values only.

    python examples/hundred_agents.py
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch as th

from sb3_distill import DistilledPolicy, make_vec_env

DATASET = "NDCartPole5D-v0"


def play(choose: Callable[[np.ndarray], np.ndarray], n_episodes: int) -> float:
    """Mean return of the first episode of so many environments that run side by side."""
    env = make_vec_env(DATASET, n_envs=n_episodes, seed=0)
    observations, running, returns = env.reset(), np.ones(n_episodes, dtype=bool), np.zeros(n_episodes)
    while running.any():
        observations, rewards, dones, _ = env.step(choose(observations))
        returns += rewards * running
        running &= ~dones
    return returns.mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=100, help="number of agents")
    parser.add_argument("--episodes", type=int, default=20, help="episodes of each agent, and of the vote")
    options = parser.parse_args()
    th.set_num_threads(1)

    deep = dict(net_arch=[64, 64, 64, 64])
    DistilledPolicy.from_dataset(DATASET)  # the first call sets up PyTorch
    start = time.perf_counter()
    agents = [DistilledPolicy.from_dataset(DATASET, "MlpPolicy", deep, seed=i) for i in range(options.agents)]
    seconds = time.perf_counter() - start
    print(f"{len(agents)} agents in {seconds:.2f} s: {1000 * seconds / len(agents):.1f} ms each")

    def vote(observations: np.ndarray) -> np.ndarray:
        votes = np.stack([agent.predict(observations, deterministic=True)[0] for agent in agents], axis=1)
        return np.array([np.bincount(row).argmax() for row in votes])

    alone = [play(lambda obs, agent=agent: agent.predict(obs, deterministic=True)[0], options.episodes) for agent in agents]
    print(f"one agent:      return {np.mean(alone):5.1f} ± {np.std(alone):.1f} over agents, the best {np.max(alone):.1f}")
    print(f"majority vote:  return {play(vote, options.episodes):5.1f} of 500")


if __name__ == "__main__":
    main()
