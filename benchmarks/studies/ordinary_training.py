"""
People will put a set into a training loop of their own: return of learners trained on each shipped cart-pole set with plain
Adam (full batch, default rate 1e-3, 100 and 1000 steps) beside its own inner loop; 50 learners x 20 episodes, sampled, for
learners whose last layer starts small (gain 0.01, as SB3's) and at gain 1, PyTorch's and Xavier's.

    python benchmarks/studies/ordinary_training.py [NAME ...]
"""

import sys
from functools import partial
from pathlib import Path

import torch as th

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import one_thread, read, write
from sb3_distill import SyntheticDataset, evaluate_learners
from sb3_distill.dataset.file import shipped_sets
from sb3_distill.learners.population import Group, Learners

COLUMNS = {"gain 0.01": "lambda", "gain 1": "ortho-1", "PyTorch's default": {"init": "pytorch"}, "Xavier, gain 1": "xe-1"}


def train_with_adam(dataset: SyntheticDataset, n_steps: int, learners: Learners) -> Learners:
    """
    Adam's steps are element-wise, so that stacked learners are trained as each would be alone.

    :param dataset: on which to train
    :param n_steps: number of full-batch steps
    :param learners: initial learners
    :return: trained ones
    """
    observations, labels = dataset.to_torch().tensors
    groups = []
    for group in learners.groups:
        params = {name: value.clone().requires_grad_() for name, value in group.params.items()}
        optimizer = th.optim.Adam(params.values())
        for _ in range(n_steps):
            optimizer.zero_grad()
            outputs = group.network(params, observations.expand(group.n_learners, *observations.shape))
            (outputs - labels).square().mean(dim=(1, 2)).sum().backward()
            optimizer.step()
        groups.append(Group(group.network, {name: value.detach() for name, value in params.items()}))
    return Learners(groups)


def main() -> None:
    one_thread()
    for name in sys.argv[1:] or [name for name in shipped_sets() if name.startswith("NDCartPole")]:
        dataset = SyntheticDataset.load(name)
        ways = {
            "own inner loop": True,
            "Adam 100": partial(train_with_adam, dataset, 100),
            "Adam 1000": partial(train_with_adam, dataset, 1000),
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
