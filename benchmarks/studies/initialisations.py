"""
Search of initialisations: of 1,000 taught networks the best one, chosen on some episodes and confirmed on others, then
continued by PPO; beside a taught network picked at random and a fresh start.

    python benchmarks/studies/initialisations.py [--tasks 2-D 3-D] [--seeds 0 1 ... 9]
    python benchmarks/studies/initialisations.py --show

What is in results/initialisations.json is not run again.
"""

import argparse
import itertools
import sys
import time
from pathlib import Path

import numpy as np
import torch as th
from stable_baselines3 import PPO

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import one_thread, read, write
from sb3_distill import DistilledEnsemble, make_vec_env
from sb3_distill.evaluation.play import play_episodes
from sb3_distill.search.ranking.picks import compare_pick, holm_family
from sb3_distill.typing import Json

TASKS = {
    "2-D": ("NDCartPole2D-v0/wide-sgd-raw", "NDCartPole2D-v0"),
    "3-D": ("NDCartPole3D-v0/wide-sgd-raw", "NDCartPole3D-v0"),
}
"""Sets that teach Xavier networks unevenly, and their environments."""
N_NETWORKS, N_CHOOSING, N_CONFIRMING = 1000, 5, 100
"""Networks, episodes of each while choosing, and episodes of what was chosen."""
N_TIMESTEPS = 20_000
"""Environment steps of PPO."""
SETTINGS: Json = dict(n_steps=64, batch_size=256, n_epochs=6, learning_rate=3e-4, device="cpu")
STARTS = ("best of 1,000", "taught, at random", "fresh")


def mean_return(model: PPO, env_id: str, seed: int) -> float:
    """Mean return of 100 episodes with sampled actions."""
    env = make_vec_env(env_id, 50, seed=seed)
    th.manual_seed(seed)
    returns = play_episodes(env, lambda seen: model.predict(seen, deterministic=False)[0], 1, N_CONFIRMING)  # type: ignore[arg-type]
    return float(returns.mean())


def run(name: str, seed: int) -> Json:
    """Choose, confirm and continue."""
    path, env_id = TASKS[name]
    start = time.perf_counter()
    everyone = DistilledEnsemble.from_dataset(path, N_NETWORKS, learner_distribution={"init": "xavier_normal"}, seed=seed)
    best = everyone.select(1, n_episodes=N_CHOOSING, seed=10_000 + seed, deterministic=False)
    seconds = time.perf_counter() - start
    at_random = int(np.random.default_rng(seed).integers(N_NETWORKS))
    policies = {"best of 1,000": best.member(0), "taught, at random": everyone.member(at_random), "fresh": None}
    entry: Json = {"seconds_of_search": round(seconds, 2)}
    for label, policy in policies.items():
        env = make_vec_env(env_id, 16, seed=seed)
        if policy is None:
            model = PPO("MlpPolicy", env, seed=seed, **SETTINGS)
        else:
            model = policy.to_algorithm(PPO, env, seed=seed, **SETTINGS)
        before = mean_return(model, env_id, 20_000 + seed)
        start = time.perf_counter()
        model.learn(N_TIMESTEPS)
        after = mean_return(model, env_id, 30_000 + seed)
        entry[label] = {"before": round(before, 2), "after": round(after, 2), "seconds": round(time.perf_counter() - start, 2)}
    return entry


def show() -> None:
    """Means, and the best against the others, one Holm family."""
    results = read("initialisations")
    comparisons = []
    print("| task | seeds | start | before PPO | after PPO |\n" + "|---" * 5 + "|")
    for name in TASKS:
        entries = [entry for cell, entry in results.items() if cell.startswith(f"{name}/")]
        if len(entries) < 2:
            continue
        values = {
            label: {when: np.array([e[label][when] for e in entries]) for when in ("before", "after")} for label in STARTS
        }
        for label, numbers in values.items():
            texts = [f"{value.mean():.1f} ± {value.std():.1f}, worst {value.min():.1f}" for value in numbers.values()]
            print("|", " | ".join([name, str(len(entries)), label, *texts]), "|")
        for other, when in itertools.product(STARTS[1:], ("before", "after")):
            pick = f"{name}, {when} PPO: {STARTS[0]}"
            comparisons.append(compare_pick(pick, values[STARTS[0]][when], other, values[other][when]))
    for one in holm_family(comparisons):
        value, low, high = one.difference
        print(f"{one.pick} - {one.baseline}: {value:.1f} [{low:.1f}, {high:.1f}], Welch p by Holm {one.welch_holm:.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--seeds", nargs="*", type=int, default=list(range(10)))
    parser.add_argument("--show", action="store_true", help="only show the table")
    options = parser.parse_args()
    one_thread()
    for name, seed in itertools.product([] if options.show else options.tasks, options.seeds):
        if f"{name}/{seed}" not in read("initialisations"):
            entry = run(name, seed)
            print(f"{name}/{seed}: {entry}", flush=True)
            write("initialisations", {**read("initialisations"), f"{name}/{seed}": entry})
    show()


if __name__ == "__main__":
    main()
