"""
The inner loop ``carry``: how many random networks it teaches, on sets made for the ridge head and on sets made through it.

    python benchmarks/studies/carry.py taught 1 2 3 4 5                      # shipped wide sets, ridge head and carry
    python benchmarks/studies/carry.py taught 1 2 3 4 5 --grid random64b
    python benchmarks/studies/carry.py trained 2 --k 6 --seeds 0 1 2 [--grid random64b]
    python benchmarks/studies/carry.py chosen Ant-v4 Humanoid-v4             # shipped ridge sets of large tasks
"""

import argparse
import sys
from pathlib import Path

from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.cartpole import distil
from benchmarks.lib.results import RUNS, one_thread, read, write
from benchmarks.make.wide_sets import KINDS, settings_of
from sb3_distill import SyntheticDataset, evaluate_learners
from sb3_distill.evaluation.choose import STRENGTHS, choose_carry_strength
from sb3_distill.evaluation.grids import HELD_OUT, RANDOM, random_cells
from sb3_distill.typing import Json

NAME = "carry"
SAMPLED = ("MsPacman", "Centipede")
"""Tasks whose agents take sampled actions."""


def score(dataset: SyntheticDataset, grid: str, options: argparse.Namespace, inner_loop: str | None = None) -> Json:
    """How many cells of a grid a set teaches, sampled actions."""
    evaluations = evaluate_learners(dataset, options.learners, options.episodes, grid=grid, seed=1, inner_loop=inner_loop)
    means = {cell: evaluation.mean for cell, evaluation in evaluations.items()}
    return {
        "learners": options.learners,
        "episodes": options.episodes,
        "fraction_at_495": sum(mean >= 495 for mean in means.values()) / len(means),
        "mean": sum(means.values()) / len(means),
        "worst": min(means.values()),
        "cells": means,
    }


def keep(key: str, row: Json) -> None:
    """Add a result, and say it."""
    write(NAME, {**read(NAME), key: row})
    print(
        f"{key}: {100 * row['fraction_at_495']:.0f} % of cells, mean {row['mean']:.1f}, worst {row['worst']:.1f}", flush=True
    )


def taught(options: argparse.Namespace) -> None:
    """Shipped sets that were made for the ridge head."""
    for n_dims in map(int, options.tasks):
        dataset = SyntheticDataset.load(f"NDCartPole{n_dims}D-v0/wide")
        for loop in options.loops:
            keep(f"taught/{options.grid}/{n_dims}-D/{loop}", score(dataset, options.grid, options, loop))


def trained(options: argparse.Namespace) -> None:
    """Sets that are made through the loop."""
    for n_dims in map(int, options.tasks):
        for seed in options.seeds:
            settings, steps = settings_of(options.kind, n_dims)
            settings |= {} if options.k is None else {"n_instances": options.k}
            settings |= {} if options.mixture is None else {"learner_distribution": options.mixture}
            steps = int(options.steps or steps)
            kind = f"{options.kind}-{options.mixture}" if options.mixture else options.kind
            name = f"{n_dims}-D/{kind}/k={settings['n_instances']}/{steps / 1e6:g}M/seed {seed}"
            path = RUNS / f"{name.replace('/', '-').replace(' ', '')}.safetensors"
            if not path.exists() or options.anew:
                model, seconds = distil(n_dims, seed, steps, **settings)
                model.dataset.save(path)
                rates = model.dataset.inner_loop.rates(model.dataset.learned)
                write(NAME, {**read(NAME), f"trained/{name}": {"seconds": seconds, "steps": model.num_timesteps, **rates}})
            dataset = SyntheticDataset.load(path)
            for grid in dict.fromkeys(("table1", options.grid)):
                keep(f"trained/{grid}/{name}", score(dataset, grid, options))


def chosen(options: argparse.Namespace) -> None:
    """Shipped ridge sets of large tasks: a strength is chosen on some episodes, and compared with the head alone on others."""
    for name in options.tasks:
        deterministic = not name.startswith(SAMPLED)
        carry, tried = choose_carry_strength(name, STRENGTHS, deterministic=deterministic)
        row: Json = {
            "deterministic": deterministic,
            "tried": {strength: evaluation.summary() for strength, evaluation in tried.items()},
            "strength": max(tried, key=lambda strength: tried[strength].mean),
        }
        for loop, dataset in (("ridge", SyntheticDataset.load(name)), ("carry", carry)):
            own = evaluate_learners(dataset, options.learners, options.episodes, deterministic, seed=1)
            cells = evaluate_learners(dataset, 3, 2, deterministic, seed=1, grid=random_cells(12, seed=11))
            row[loop] = {"own": own.summary(), "learners": own.learner_means.tolist()}
            row[loop]["cells"] = {cell: evaluation.mean for cell, evaluation in cells.items()}
        write(NAME, {**read(NAME), f"chosen/{name}": row})
        for loop in ("ridge", "carry"):
            own, means = row[loop]["own"], list(row[loop]["cells"].values())
            print(
                f"{name} {loop}: {own['mean']:.1f} +- {own['std']:.1f}, random 12 {sum(means) / 12:.1f} worst {min(means):.1f}"
            )
        low, high = difference_of_means(row["ridge"]["learners"], row["carry"]["learners"])
        print(f"{name}: strength {row['strength']}, difference of means {low:.1f} to {high:.1f} (95 %)", flush=True)


def difference_of_means(one: list[float], other: list[float]) -> tuple[float, float]:
    """Welch's 95 % interval of the mean of ``other`` minus that of ``one``."""
    interval = stats.ttest_ind(other, one, equal_var=False).confidence_interval()
    return float(interval.low), float(interval.high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["taught", "trained", "chosen"])
    parser.add_argument("tasks", nargs="+", help="numbers of axes; for `chosen` names of shipped sets")
    parser.add_argument("--grid", default=RANDOM, help=f"default: {RANDOM}; {HELD_OUT} is looked at once")
    parser.add_argument("--loops", nargs="+", default=["ridge", "carry"])
    parser.add_argument("--kind", default="carry", choices=list(KINDS))
    parser.add_argument("--mixture", help="learners to train on: the name of a distribution")
    parser.add_argument("--k", type=int, help="number of instances")
    parser.add_argument("--steps", type=float, help="environment steps")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--learners", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--anew", action="store_true", help="train again where a set is there")
    options = parser.parse_args()
    one_thread()
    {"taught": taught, "trained": trained, "chosen": chosen}[options.what](options)


if __name__ == "__main__":
    main()
