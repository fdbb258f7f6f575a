"""
Which search finds the better network in as much processor time? Distillation judges hundreds of networks. Random search with
PPO stops two of three networks at a ninth of the steps, and two of three at a third. The third way lets distillation judge for
half of the time, and PPO look at its best ones (it was added when the first replicate had been seen). Each replicate has other
networks; picks are trained with seeds of their own. The time in which the set was distilled is not part of it.

    python benchmarks/studies/search_at_equal_time.py [--tasks 2-D] [--seconds 60] [--replicates 0 1 2 3 4]
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

NEW_SEEDS = range(3000, 3005)
CONTROL = "early-stopped PPO"


def candidates(seed: int) -> Iterator[PolicyArchitecture]:
    """Networks at random, without end; both ways see them in the same order."""
    trial, space = RandomTrial(random.Random(seed)), SearchSpace.parse(SPACE)
    while True:
        yield space.suggest(trial)


def judged(task: SearchTask, seed: int, seconds: float) -> list[PolicyArchitecture]:
    """Networks that distillation has judged in that time, the best first."""
    evaluator, start = DistillationScore(task.set()[0]), time.process_time()
    scores: list[tuple[float, PolicyArchitecture]] = []
    for network in candidates(seed):
        if time.process_time() - start > seconds:
            break
        scores.append((evaluator.score(network, [0]).mean, network))
    return [network for _, network in sorted(scores, key=lambda pair: -pair[0])]


def by_distillation(task: SearchTask, seed: int, seconds: float) -> tuple[PolicyArchitecture, int]:
    """The network with the best score, and how many were judged."""
    networks = judged(task, seed, seconds)
    return networks[0], len(networks)


def by_stopped_ppo(
    task: SearchTask, seed: int, seconds: float, networks: Iterator[PolicyArchitecture] | None = None
) -> tuple[PolicyArchitecture, int]:
    """The best of those that were trained fully: of nine networks three go on, and of these one."""
    evaluator, start = task.online(), time.process_time()
    networks = candidates(seed) if networks is None else networks
    best, n_judged = (-np.inf, PolicyArchitecture()), 0
    while time.process_time() - start < seconds and (bracket := list(itertools.islice(networks, 9))):
        n_judged += len(bracket)
        for part, n_left in ((9, 3), (3, 1), (1, 1)):
            returns = [evaluator.score(network, [seed], task.n_timesteps // part).mean for network in bracket]
            bracket = [bracket[i] for i in np.argsort(returns)[::-1][:n_left]]
        best = max(best, (max(returns), bracket[0]), key=lambda pair: pair[0])
    return best[1], n_judged


def by_both(task: SearchTask, seed: int, seconds: float) -> tuple[PolicyArchitecture, int]:
    """Distillation for half of the time, then PPO on its best networks."""
    networks = judged(task, seed, seconds / 2)
    return by_stopped_ppo(task, seed, seconds / 2, iter(networks))[0], len(networks)


WAYS = {"distillation": by_distillation, "early-stopped PPO": by_stopped_ppo, "distillation, then PPO": by_both}


def run(name: str, replicate: int, way: str, seconds: float) -> Json:
    """Search, and train the pick with new seeds."""
    task, start = TASKS[name], time.process_time()
    network, n_judged = WAYS[way](task, 500 + replicate, seconds)
    spent = time.process_time() - start
    score = task.online().score(network, list(NEW_SEEDS))
    return {
        "network": network.to_json(), "n_judged": n_judged, "seconds": round(spent, 1),
        "per_seed": [round(value, 2) for value in score.per_seed],
    }  # fmt: skip


def show() -> None:
    """Means of replicates, and differences to early-stopped PPO."""
    results = read("search_at_equal_time")
    for name in TASKS:
        means = {}
        for way in WAYS:
            entries = [entry for cell, entry in results.items() if cell.startswith(f"{name}/") and cell.endswith(f"/{way}")]
            if len(entries) > 1:
                means[way] = np.array([np.mean(entry["per_seed"]) for entry in entries])
                n_judged, spent = (np.median([entry[key] for entry in entries]) for key in ("n_judged", "seconds"))
                each = ", ".join(f"{mean:.0f}" for mean in means[way])
                print(f"{name}: {way}: {means[way].mean():.1f} ({each}), {n_judged:.0f} networks in {spent:.0f} s")
        for way in [way for way in means if way != CONTROL and CONTROL in means]:
            one = compare_pick(way, means[way], CONTROL, means[CONTROL])
            value, low, high = one.difference
            print(f"{name}: {way} less {CONTROL}: {value:.1f} [{low:.1f}, {high:.1f}], Welch p {one.welch:.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=["2-D"], choices=list(TASKS))
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--replicates", nargs="*", type=int, default=list(range(5)))
    parser.add_argument("--show", action="store_true", help="only show the figures")
    options = parser.parse_args()
    one_thread()
    parts = (options.replicates, [] if options.show else options.tasks, options.ways)
    for replicate, name, way in itertools.product(*parts):
        cell = f"{name}/{replicate}/{way}"
        if cell not in read("search_at_equal_time"):
            entry = run(name, replicate, way, options.seconds)
            print(cell, entry["per_seed"], entry["n_judged"], flush=True)
            write("search_at_equal_time", {**read("search_at_equal_time"), cell: entry})
    show()


if __name__ == "__main__":
    main()
