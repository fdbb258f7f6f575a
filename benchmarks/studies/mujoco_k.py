"""
Return against the number of instances k, for HalfCheetah and Hopper, with one gradient step.

    python benchmarks/studies/mujoco_k.py [--tasks Hopper] [--k 4 16] [--scale 0.5]     # what is missing is run
    python benchmarks/studies/mujoco_k.py --draw                                        # the picture of what is there
"""

import argparse
import sys
from pathlib import Path

import gymnasium as gym
import matplotlib

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.distil import choose, distil
from benchmarks.lib.results import PICTURES, RUNS, one_thread, read, write
from benchmarks.lib.score import score
from benchmarks.paper.table4 import SUITE
from sb3_distill.typing import Json

matplotlib.use("agg")
SIZES = (4, 16, 64, 256)


def run(task: str, kind: str, k: int, steps: int) -> None:
    name = f"{task}/{kind}/{k}"
    if name in read("mujoco_k"):
        return
    datasets, cost = distil(SUITE, task, kind, 0, steps, n_instances=k)
    dataset = choose(SUITE, task, datasets)
    entry: Json = {**cost, **score(dataset)}
    print(name, {mode: round(entry[mode]["mean"], 1) for mode in ("sampled", "greedy")}, flush=True)
    write("mujoco_k", {**read("mujoco_k"), name: entry})


def draw() -> None:
    import matplotlib.pyplot as plt

    results = read("mujoco_k")
    figure, axes = plt.subplots(1, 2, figsize=(8, 3))
    for axis, task in zip(axes, ("HalfCheetah", "Hopper"), strict=True):
        for kind, label in (("sgd", "one gradient step"), ("ridge", "ridge head")):
            entries = [(k, results[f"{task}/{kind}/{k}"]) for k in SIZES if f"{task}/{kind}/{k}" in results]
            if not entries:
                continue
            for mode, style in (("greedy", "o-"), ("sampled", "o--")):
                ks = [k for k, _ in entries]
                means, deviations = zip(*((entry[mode]["mean"], entry[mode]["std"]) for _, entry in entries), strict=True)
                axis.errorbar(ks, means, deviations, fmt=style, capsize=3, label=f"{label}, {mode}")
        axis.set_xscale("log", base=4)
        axis.set_xticks(SIZES, [str(k) for k in SIZES])
        axis.set(title=f"{task}-v4", xlabel="instances k", ylabel="return of fresh learners")
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(PICTURES / "mujoco_k.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=["HalfCheetah", "Hopper"], choices=list(SUITE.steps))
    parser.add_argument("--kinds", nargs="*", default=["sgd"], choices=["sgd", "ridge"])
    parser.add_argument("--k", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--scale", type=float, default=1.0, help="of the environment steps of table4.py")
    parser.add_argument("--draw", action="store_true")
    options = parser.parse_args()
    one_thread()
    gym.logger.min_level = gym.logger.ERROR
    RUNS.mkdir(exist_ok=True)
    if not options.draw:
        for task in options.tasks:
            for kind in options.kinds:
                for k in options.k:
                    run(task, kind, k, int(options.scale * SUITE.steps[task]))
    draw()


if __name__ == "__main__":
    main()
