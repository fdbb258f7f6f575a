"""
Speed, as ratios taken inside one run on the same cores:

* throughput of PPMO.learn on 2-D cart-pole against stable_baselines3.PPO on CartPole-v1, 64 environments, same n_steps,
  n_epochs and batch_size, in turns; and as a fraction of the bare vector environment stepped with random actions;
* wall time to a finished 1-D set against SB3 PPO (rl-zoo's tuned CartPole-v1 settings) reaching 475 in the first of its
  evaluations (every 5,000 steps, 20 episodes, not timed);
* DistilledPolicy.from_dataset for a 64-64 network, from a path, warm, median of 100.

    python benchmarks/speed/speed.py [--rounds 5] [--keep]

Each figure is printed beside that of the last JSON, which the new one then replaces (``--keep``: does not replace).
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env as sb3_make_vec_env
from stable_baselines3.common.vec_env import VecEnv

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.cartpole import SETTINGS, distil
from benchmarks.lib.compare import show_against_last
from benchmarks.lib.results import DATASETS, one_thread, read, write
from benchmarks.lib.score import mean_return
from sb3_distill import PPMO, DistilledPolicy, evaluate_learners, make_vec_env
from sb3_distill.typing import Json

N_ENVS = 64
SHARED: Json = dict(n_steps=512, n_epochs=1, batch_size=2048, ent_coef=0.0)


def steps_per_second(model: PPMO | PPO, steps: int) -> float:
    start, before = time.perf_counter(), model.num_timesteps
    model.learn(steps, reset_num_timesteps=False)
    return float((model.num_timesteps - before) / (time.perf_counter() - start))


def throughput(rounds: int) -> Json:
    ppmo = PPMO("MlpPolicy", make_vec_env("NDCartPole2D-v0", N_ENVS), seed=0, n_instances=3, normalize=False, **SHARED)
    ppo = PPO("MlpPolicy", sb3_make_vec_env("CartPole-v1", N_ENVS), seed=0, device="cpu", **SHARED)
    bare = gym.make_vec("NDCartPole2D-v0", num_envs=N_ENVS, autoreset_mode=AutoresetMode.SAME_STEP)
    bare.reset(seed=0)
    actions = np.random.default_rng(0).integers(4, size=(2000, N_ENVS))
    for model in (ppmo, ppo):
        model.learn(40_000)
    rates: dict[str, list[float]] = {"ppmo": [], "ppo": [], "bare": []}
    for _ in range(rounds):
        rates["ppmo"].append(steps_per_second(ppmo, 320_000))
        rates["ppo"].append(steps_per_second(ppo, 120_000))
        start = time.perf_counter()
        for action in actions:
            bare.step(action)
        rates["bare"].append(actions.size / (time.perf_counter() - start))
    ratios = [a / b for a, b in zip(rates["ppmo"], rates["ppo"], strict=True)]
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print("steps per second:", {name: round(value) for name, value in medians.items()})
    print(f"PPMO / PPO: {statistics.median(ratios):.2f} (target 3); PPMO / bare env: {medians['ppmo'] / medians['bare']:.3f}")
    return {
        "steps_per_second": rates,
        "ppmo_over_ppo": statistics.median(ratios),
        "ppmo_over_bare": medians["ppmo"] / medians["bare"],
    }


class Race(BaseCallback):
    """
    Stops PPO at its first evaluation at 475, one every 5,000 steps, and takes the time without evaluations.

    :param env: environments of evaluation
    """

    def __init__(self, env: VecEnv) -> None:
        super().__init__()
        self.env, self.seconds, self.start, self.is_won = env, 0.0, time.perf_counter(), False

    def _on_step(self) -> bool:
        if self.model.num_timesteps % 5_000 < self.training_env.num_envs:
            self.seconds += time.perf_counter() - self.start
            self.is_won = mean_return(self.model, self.env, 20) >= 475
            self.start = time.perf_counter()
        return not self.is_won


def ppo_to_475(seed: int) -> float:
    """Seconds of training; rl-zoo's settings for CartPole-v1."""
    env = sb3_make_vec_env("CartPole-v1", 8, seed=seed)
    model = PPO(
        "MlpPolicy", env, n_steps=32, batch_size=256, gae_lambda=0.8, gamma=0.98, n_epochs=20, ent_coef=0.0, seed=seed,
        learning_rate=lambda left: 0.001 * left, clip_range=lambda left: 0.2 * left, device="cpu",
    )  # fmt: skip
    race = Race(sb3_make_vec_env("CartPole-v1", 20, seed=1000 + seed))
    # Schedules run over the zoo's 100,000 steps, so the run must not be cut into pieces that restart them.
    model.learn(100_000, callback=race)
    return race.seconds if race.is_won else float("inf")


def race(seeds: list[int]) -> Json:
    ours, theirs, scores = [], [], []
    for seed in seeds:
        theirs.append(ppo_to_475(seed))
        model, seconds = distil(1, seed)
        ours.append(seconds)
        scores.append(evaluate_learners(model.dataset, 100, 100, seed=1).mean)
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"1-D set: {ours} s, scores {scores}; PPO to 475: {theirs} s; ratio of medians {ratio:.2f} (target below 1)")
    return {"distil_1d_seconds": ours, "scores": scores, "ppo_to_475_seconds": theirs, "ratio": ratio}


def teaching() -> Json:
    path = DATASETS / "NDCartPole2D-v0.safetensors"
    times = []
    for _ in range(110):
        start = time.perf_counter()
        DistilledPolicy.from_dataset(path)
        times.append(1000 * (time.perf_counter() - start))
    median = statistics.median(times[10:])
    print(f"from_dataset: {median:.1f} ms (target 10)")
    return {"from_dataset_ms": median}


def figures_of(result: Json) -> dict[str, float]:
    """
    :param result: what this script writes; may be empty
    :return: its figures by name, medians where there are several
    """
    if not result:
        return {}
    rates = {name: statistics.median(values) for name, values in result["steps_per_second"].items()}
    return {
        "PPMO, steps per second": rates["ppmo"],
        "SB3's PPO, steps per second": rates["ppo"],
        "bare environment, steps per second": rates["bare"],
        "PPMO / PPO": result["ppmo_over_ppo"],
        "PPMO / bare environment": result["ppmo_over_bare"],
        "1-D set, seconds": statistics.median(result["distil_1d_seconds"]),
        "PPO to 475, seconds": statistics.median(result["ppo_to_475_seconds"]),
        "1-D set / PPO to 475": result["ratio"],
        "from_dataset, milliseconds": result["from_dataset_ms"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--keep", action="store_true", help="do not replace results/speed.json")
    options = parser.parse_args()
    one_thread()
    settings = {"settings": {**SHARED, "distil": SETTINGS}}
    result = {**settings, **teaching(), **throughput(options.rounds), **race(options.seeds)}
    show_against_last("speed", figures_of(result), figures_of(read("speed")))
    if not options.keep:
        write("speed", result)


if __name__ == "__main__":
    main()
