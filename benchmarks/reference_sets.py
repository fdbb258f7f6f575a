"""
Check the evaluator with the sets that the authors released: sampled, 2-D k=3 must come out near 365, 4-D k=5 near 127, 1-D
at 500. The files are not part of this repository.

    python benchmarks/reference_sets.py FOLDER
"""

import argparse
from pathlib import Path

import torch as th
from common import one_thread, write
from gymnasium import spaces
from safetensors import safe_open

from nd_cartpole.env import observation_space
from sb3_distill import SyntheticDataset, evaluate_learners
from sb3_distill.dataset_info import DatasetInfo
from sb3_distill.inner_loop import GradientSteps

PAPER = {"ndcartpole-1d-k2": 500, "ndcartpole-2d-k3": 365, "ndcartpole-2d-k512": 350, "ndcartpole-4d-k5": 127}


def read_reference(path: Path) -> SyntheticDataset:
    with safe_open(path, "pt") as file:
        x, y, rate = (file.get_tensor(name) for name in ("x", "y", "inner_lr"))
    n_dims = x.shape[1] // 4
    loop = GradientSteps(learning_rate=float(rate))
    info = DatasetInfo(
        observation_space(n_dims), spaces.Discrete(2 * n_dims), f"NDCartPole{n_dims}D-v0", policy="MlpPolicy",
        inner_loop=loop.settings(),
    )  # fmt: skip
    return SyntheticDataset(x, y, loop, info, {"log_inner_learning_rates": th.tensor([[float(rate)]]).log()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    one_thread()
    results = {}
    for name, paper in PAPER.items():
        dataset = read_reference(folder / f"{name}.safetensors")
        results[name] = {
            kind: evaluate_learners(dataset, 100, 100, kind == "greedy").summary() for kind in ("sampled", "greedy")
        }
        results[name]["paper"] = paper
        sampled, greedy = results[name]["sampled"], results[name]["greedy"]
        print(
            f"{name}: sampled {sampled['mean']:.1f} +- {sampled['std']:.1f} (paper {paper}), greedy {greedy['mean']:.1f}",
            flush=True,
        )
    write("reference_sets", results)


if __name__ == "__main__":
    main()
