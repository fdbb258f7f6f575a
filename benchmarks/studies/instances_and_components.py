"""
How many instances does a set need for a mixture of so many kinds of learners?

    python benchmarks/studies/instances_and_components.py run        # what is missing, from few to many
    python benchmarks/studies/instances_and_components.py show       # share of cells with a mean return of 495, as a table

Luo & Xu (arXiv 2512.05817) bound the size of a distilled set linearly in the diversity of the configurations that it shall
serve. Here the configurations are the components of a mixture, drawn as the cells of the grid random64 are (other ones), and
each set is scored on random64, and on the components that it was made for. 2-D cart-pole, equal steps, one seed unless more
are named.
"""

import argparse
import itertools
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.cartpole import distil
from benchmarks.lib.results import one_thread, read, write
from benchmarks.make.wide_sets import CARRY
from sb3_distill import evaluate_learners
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.evaluation.grids import RANDOM, Grid, random_cells
from sb3_distill.typing import Json

NAME = "instances_and_components"
SEED_OF_MIXTURES = 11
STEPS = 2_000_000
SOLVED, SHARE = 495.0, 0.98
LOOPS = ("carry", "ridge")


def mixture(n_components: int) -> list[Json]:
    """Components of one kind each; those of a smaller mixture are part of a larger one."""
    return list(random_cells(64, SEED_OF_MIXTURES).values())[:n_components]


def share_of(dataset: SyntheticDataset, grid: Grid, options: argparse.Namespace) -> float:
    """Share of the cells whose learners reach ``SOLVED`` on average, sampled actions."""
    cells = evaluate_learners(dataset, options.learners, options.episodes, grid=grid, seed=1)
    return float(np.mean([cell.mean >= SOLVED for cell in cells.values()]))


def run(options: argparse.Namespace) -> None:
    for seed, loop, components, k in itertools.product(options.seeds, options.loops, options.components, options.instances):
        key = f"{loop}/components={components}/k={k}/seed {seed}"
        if key in read(NAME):
            continue
        start = time.process_time()
        settings = {**CARRY, "inner_loop": loop, "n_instances": k, "learner_distribution": mixture(components)}
        model, _ = distil(2, seed, STEPS, **settings)  # fmt: skip
        seconds = time.process_time() - start
        own = {str(i): cell for i, cell in enumerate(mixture(components))}
        row = {
            "random64": share_of(model.dataset, RANDOM, options),
            "own": share_of(model.dataset, own, options),
            "cpu_seconds": seconds,
            "steps": model.num_timesteps,
            "learners": options.learners,
            "episodes": options.episodes,
        }
        write(NAME, {**read(NAME), key: row})
        print(f"{key}: {row['random64']:.3f} of random64, {row['own']:.3f} of its components, {seconds:.0f} s", flush=True)
    show(options)


def show(options: argparse.Namespace) -> None:
    results = read(NAME)
    for loop, what in itertools.product(options.loops, ("random64", "own")):
        print(
            f"{loop}: share of the cells of {what} at {SOLVED:g}\ncomponents "
            + "".join(f"{f'k={k}':>8}" for k in options.instances)
        )
        for components in options.components:
            shares = []
            for k in options.instances:
                keys = [f"{loop}/components={components}/k={k}/seed {seed}" for seed in options.seeds]
                values = [results[key][what] for key in keys if key in results]
                shares.append(float(np.mean(values)) if values else np.nan)
            enough = next((f"k={k}" for k, share in zip(options.instances, shares, strict=True) if share >= SHARE), "none")
            print(f"{components:10d} " + "".join(f"{share:8.2f}" for share in shares) + f"   {SHARE:.0%}: {enough}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "show"])
    parser.add_argument("--loops", nargs="+", default=list(LOOPS), choices=LOOPS)
    parser.add_argument("--components", type=int, nargs="+", default=[2, 8, 64])
    parser.add_argument("--instances", type=int, nargs="+", default=[3, 6, 12, 48])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--learners", type=int, default=6, help="of each cell")
    parser.add_argument("--episodes", type=int, default=6, help="of each learner")
    options = parser.parse_args()
    one_thread()
    {"run": run, "show": show}[options.what](options)


if __name__ == "__main__":
    main()
