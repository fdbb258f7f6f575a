"""
Distilling for the ensemble: digits, k = 32, one gradient step, 100 members. The outer loss is the mean of the members' losses,
or that of their mean probabilities (``combine="probs"``). Ten draws of members, three seeds of the set, images that no run has
seen. Needs ``pip install scikit-learn``.

    python benchmarks/studies/digits_ensembles.py [--networks 16] [--seeds 0] [--show]
"""

import argparse
import itertools
import sys
import time
from pathlib import Path

import numpy as np
import torch as th

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.digits import NETWORKS, draw, policy_kwargs, seen, split
from benchmarks.lib.results import one_thread, read, write
from sb3_distill import SupervisedDistillation
from sb3_distill.evaluation.probabilities import scores
from sb3_distill.typing import Json

NAME = "digits_ensembles"
LOSSES = {"members": None, "ensemble": "probs"}
N_MEMBERS, N_DRAWS = 100, 10
UPDATES = {"64-64": 800, "16": 2500}


@th.no_grad()
def score(run: SupervisedDistillation, draws: int) -> dict[str, list[Json]]:
    """
    :param run: the run, done
    :param draws: number of draws of members
    :return: figures of the mean probabilities, of the mean logits, and of one member, for each draw
    """
    train, (inputs, targets) = split()
    images, classes = seen(train, inputs), th.as_tensor(targets)
    rows: dict[str, list[Json]] = {"probs": [], "logits": [], "one member": [], "members": []}
    for seed in range(draws):
        outputs = run.dataset.teach(draw(run, N_MEMBERS, seed))(images.expand(N_MEMBERS, -1, -1))
        probs = outputs.softmax(dim=2)
        rows["probs"].append(scores(probs.mean(dim=0), classes))
        rows["logits"].append(scores(outputs.mean(dim=0).softmax(dim=1), classes))
        rows["one member"].append(scores(probs[0], classes))
        rows["members"].append({"accuracy": float((probs.argmax(dim=2) == classes).double().mean())})
    return rows


def run_cell(network: str, loss: str, seed: int) -> None:
    """Distil, score and keep, unless the result is there."""
    name = f"{network}/{loss}/seed {seed}"
    if name in read(NAME):
        return
    began = time.process_time()
    run = SupervisedDistillation(
        split()[0], policy_kwargs=policy_kwargs(network), n_instances=32, n_learners=16, weight_decay=3.0,
        combine=LOSSES[loss], seed=seed, device="cpu",
    ).learn(UPDATES[network])  # fmt: skip
    seconds = time.process_time() - began
    write(NAME, {**read(NAME), name: {"seconds": seconds, **score(run, N_DRAWS)}})


def show() -> None:
    """The table: mean over draws and seeds, and the smallest and the largest of them."""
    print("| network | loss | prediction | accuracy | NLL | ECE | Brier |\n|---|---|---|---|---|---|---|")
    for network, loss, way in itertools.product(NETWORKS, LOSSES, ("one member", "probs", "logits")):
        rows = [row for name, cell in read(NAME).items() if name.startswith(f"{network}/{loss}/") for row in cell[way]]
        if rows:
            columns = [[row[figure] for row in rows] for figure in ("accuracy", "nll", "ece", "brier")]
            texts = [f"{np.mean(column):.3f} [{min(column):.3f}, {max(column):.3f}]" for column in columns]
            print(f"| {network} | {loss} | {way} | " + " | ".join(texts) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--show", action="store_true", help="only show the table")
    options = parser.parse_args()
    one_thread()
    if not options.show:
        for cell in itertools.product(options.networks, LOSSES, options.seeds):
            run_cell(*cell)
    show()


if __name__ == "__main__":
    main()
