"""
People will put a set into a training loop of their own: return of learners trained on each shipped cart-pole set with plain
Adam (full batch, default rate 1e-3, 100 and 1000 steps) beside its own inner loop; 50 learners x 20 episodes, sampled, for
learners whose last layer starts small (gain 0.01, as SB3's) and at gain 1, PyTorch's and Xavier's.

    python benchmarks/studies/ordinary_training.py [NAME ...]
"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import one_thread, read, write
from sb3_distill import SyntheticDataset, evaluate_learners
from sb3_distill.dataset.file import shipped_sets
from sb3_distill.generalisation.recipes import Recipe

COLUMNS = {"gain 0.01": "lambda", "gain 1": "ortho-1", "PyTorch's default": {"init": "pytorch"}, "Xavier, gain 1": "xe-1"}


def main() -> None:
    one_thread()
    for name in sys.argv[1:] or [name for name in shipped_sets() if name.startswith("NDCartPole")]:
        dataset = SyntheticDataset.load(name)
        ways = {
            "own inner loop": True,
            "Adam 100": partial(Recipe(n_steps=100).train, dataset),
            "Adam 1000": partial(Recipe(n_steps=1000).train, dataset),
        }
        rows = {
            way: {
                column: evaluate_learners(dataset, 50, 20, learner_distribution=cell, teach=teach, seed=1).mean
                for column, cell in COLUMNS.items()
            }
            for way, teach in ways.items()
        }
        print(name, {way: {column: round(value) for column, value in row.items()} for way, row in rows.items()}, flush=True)
        write("ordinary_training", {**read("ordinary_training"), name: rows})


if __name__ == "__main__":
    main()
