"""
Which search finds the better network in as much processor time? Distillation judges hundreds of networks. Random search with
PPO stops two of three networks at a ninth of the steps, and two of three at a third. Each replicate has other networks;
picks are trained with seeds of their own. The time in which the set was distilled is not part of it.

    python benchmarks/studies/search_at_equal_time.py [--tasks 2-D Acrobot] [--seconds 60] [--replicates 0 1 2 3 4]
    python benchmarks/studies/search_at_equal_time.py --show

What is in results/search_at_equal_time.json is not run again.
"""

import argparse
import itertools
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import one_thread, read, write
from benchmarks.lib.tasks_of_search import SPACE, TASKS, SearchTask
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.ranking.picks import compare_pick
from sb3_distill.search.scores.distillation import DistillationScore
from sb3_distill.search.space import RandomTrial, SearchSpace
from sb3_distill.typing import Json

WAYS = ("distillation", "early-stopped PPO")
NEW_SEEDS = range(3000, 3005)


def candidates(seed: int) -> Iterator[PolicyArchitecture]:
    """Networks at random, without end; both ways see them in the same order."""
    trial, space = RandomTrial(random.Random(seed)), SearchSpace.parse(SPACE)
    while True:
        yield space.suggest(trial)


def by_distillation(task: SearchTask, seed: int, seconds: float) -> tuple[PolicyArchitecture, int]:
    """The network with the best score, and how many were judged."""
    evaluator, start = DistillationScore(task.set()[0]), time.process_time()
    best, n_judged = (-np.inf, PolicyArchitecture()), 0
    for network in candidates(seed):
        if time.process_time() - start > seconds:
            break
        best = max(best, (evaluator.score(network, [0]).mean, network), key=lambda pair: pair[0])
        n_judged += 1
    return best[1], n_judged


def by_stopped_ppo(task: SearchTask, seed: int, seconds: float) -> tuple[PolicyArchitecture, int]:
    """The best of those that were trained fully: of nine networks three go on, and of these one."""
    evaluator, start, networks = task.online(), time.process_time(), candidates(seed)
    best, n_judged = (-np.inf, PolicyArchitecture()), 0
    while time.process_time() - start < seconds:
        bracket = list(itertools.islice(networks, 9))
        for part, n_left in ((9, 3), (3, 1), (1, 1)):
            returns = [evaluator.score(network, [seed], task.n_timesteps // part).mean for network in bracket]
            bracket = [bracket[i] for i in np.argsort(returns)[::-1][:n_left]]
        best = max(best, (max(returns), bracket[0]), key=lambda pair: pair[0])
        n_judged += 9
    return best[1], n_judged


def run(name: str, replicate: int, seconds: float) -> Json:
    """Search in both ways, and train both picks."""
    task, entry = TASKS[name], {}
    for way, search in zip(WAYS, (by_distillation, by_stopped_ppo), strict=True):
        start = time.process_time()
        network, n_judged = search(task, 500 + replicate, seconds)
        spent = time.process_time() - start
        score = task.online().score(network, list(NEW_SEEDS))
        entry[way] = {
            "network": network.to_json(), "n_judged": n_judged, "seconds": round(spent, 1),
            "per_seed": [round(value, 2) for value in score.per_seed],
        }  # fmt: skip
    return entry


def show() -> None:
    """Means of replicates, and their difference."""
    results = read("search_at_equal_time")
    for name in TASKS:
        entries = [entry for cell, entry in results.items() if cell.startswith(f"{name}/")]
        if len(entries) < 2:
            continue
        means = {way: np.array([np.mean(entry[way]["per_seed"]) for entry in entries]) for way in WAYS}
        for way in WAYS:
            judged, seconds = (np.median([entry[way][key] for entry in entries]) for key in ("n_judged", "seconds"))
            print(f"{name}: {way}: {means[way].mean():.1f} ± {means[way].std():.1f}, {judged:.0f} networks in {seconds:.0f} s")
        one = compare_pick(WAYS[0], means[WAYS[0]], WAYS[1], means[WAYS[1]])
        value, low, high = one.difference
        print(f"{name}: difference {value:.1f} [{low:.1f}, {high:.1f}], Welch p {one.welch:.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=["2-D", "Acrobot"], choices=list(TASKS))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--replicates", nargs="*", type=int, default=list(range(5)))
    parser.add_argument("--show", action="store_true", help="only show the figures")
    options = parser.parse_args()
    one_thread()
    for name, replicate in itertools.product([] if options.show else options.tasks, options.replicates):
        cell = f"{name}/{replicate}"
        if cell not in read("search_at_equal_time"):
            entry = run(name, replicate, options.seconds)
            print(cell, {way: (entry[way]["per_seed"], entry[way]["n_judged"]) for way in WAYS}, flush=True)
            write("search_at_equal_time", {**read("search_at_equal_time"), cell: entry})
    show()


if __name__ == "__main__":
    main()
