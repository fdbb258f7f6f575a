"""
Kinds of inner learning compared on 2-D cart-pole: for each kind and number of instances, one set is distilled for the mixture
of Table 1's columns (2.5 M steps, one seed) and evaluated on each of them (50 learners x 20 episodes, sampled).

    python benchmarks/studies/inner_loops.py             # runs what is missing in results/inner_loops.json, then draws
    python benchmarks/studies/inner_loops.py --draw      # draws docs/images/inner_steps.png and inner_loops.png
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.any_learner import RATES, several_steps
from benchmarks.lib.cartpole import distil
from benchmarks.lib.results import PICTURES, one_thread, read, write
from sb3_distill import evaluate_learners
from sb3_distill.typing import Json

K = (2, 3, 4, 6, 9, 12, 16, 32)
KINDS: dict[str, Json] = {
    "ridge": dict(inner_loop="ridge"),
    "1 step, one rate": dict(),
    "1 step": dict(inner_rate_per_role=True),
    **{f"{n} steps": several_steps(n) for n in (2, 5, 10)},
}
OVER_K = ("ridge", "1 step", "2 steps")
RUNS = [(kind, 16) for kind in KINDS] + [(kind, k) for kind in OVER_K for k in K if k != 16]
STEPS = 2_500_000


def run(kind: str, k: int) -> Json:
    """Distil and evaluate one set."""
    settings = dict(RATES, learner_distribution="table1", n_learners=32, clip_range=0.3, n_instances=k, **KINDS[kind])
    model, seconds = distil(2, 0, STEPS, **settings)
    cells = evaluate_learners(model.dataset, 50, 20, seed=1, grid="table1")
    return {"seconds": seconds, "cells": {name: evaluation.mean for name, evaluation in cells.items()}}


def draw(results: Json) -> None:
    """The trade between inner steps and return, and that between instances and return, over the columns of Table 1."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    kinds = ["1 step, one rate", "1 step", "2 steps", "5 steps", "10 steps", "ridge"]
    labels = ["1, one rate", "1", "2", "5", "10", "ridge"]
    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    entries = [results[f"{kind}, k=16"] for kind in kinds]
    for name in entries[0]["cells"]:
        axis.plot(labels, [entry["cells"][name] for entry in entries], marker="o", label=name)
    axis.plot(labels, [np.mean(list(entry["cells"].values())) for entry in entries], color="black", lw=3, label="mean")
    axis.set(
        xlabel="gradient steps of the inner loop (a rate per role)",
        ylabel="return",
        title="2-D cart-pole, k = 16",
        ylim=(0, 510),
    )
    axis.legend(fontsize=7)
    figure.savefig(PICTURES / "inner_steps.png", dpi=150)

    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for kind in OVER_K:
        found = [(k, results[f"{kind}, k={k}"]["cells"]) for k in K if f"{kind}, k={k}" in results]
        values = np.array([list(cells.values()) for _, cells in found])
        ks = [k for k, _ in found]
        line = axis.plot(ks, values.mean(axis=1), marker="o", label=kind)[0]
        axis.fill_between(ks, values.min(axis=1), values.max(axis=1), alpha=0.15, color=line.get_color())
    axis.axvline(9, color="grey", ls=":", label="4N + 1")
    axis.set(
        xlabel="instances k", ylabel="return: mean, worst and best column", title="2-D cart-pole, Table 1", xscale="log",
        ylim=(0, 510),
    )  # fmt: skip
    axis.minorticks_off()
    axis.set_xticks(K, [str(k) for k in K])
    axis.legend(fontsize=7)
    figure.savefig(PICTURES / "inner_loops.png", dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="draw what is there, run nothing")
    options = parser.parse_args()
    one_thread()
    if not options.draw:
        for kind, k in RUNS:
            name = f"{kind}, k={k}"
            if name not in read("inner_loops"):
                entry = run(kind, k)
                print(name, f"{entry['seconds']:.0f} s", {n: round(v) for n, v in entry["cells"].items()}, flush=True)
                write("inner_loops", {**read("inner_loops"), name: entry})
    draw(read("inner_loops"))


if __name__ == "__main__":
    main()
