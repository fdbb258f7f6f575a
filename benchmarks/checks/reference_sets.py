"""
Check the evaluator with the sets that the authors released: sampled, 2-D k=3 must come out near 365, 4-D k=5 near 127, 1-D
at 500; and the full Centipede set near 8042, that with an encoder of two layers near 8266. The files are not part of this
repository.

    python benchmarks/checks/reference_sets.py FOLDER [--sets centipede-full-k10]
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch as th
from gymnasium import spaces
from safetensors import safe_open

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import one_thread, read, write
from nd_cartpole.env import observation_space
from sb3_distill import SyntheticDataset, evaluate_learners
from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.inner_loop.gradient_steps import GradientSteps
from sb3_distill.networks.encoder import Encoder
from sb3_distill.typing import Json

PAPER = {
    "ndcartpole-1d-k2": 500, "ndcartpole-2d-k3": 365, "ndcartpole-2d-k512": 350, "ndcartpole-4d-k5": 127,
    "centipede-full-k10": 8042, "centipede-l2-k10": 8266,
}  # fmt: skip
ATARI: Json = dict(
    noop_max=30, frame_skip=4, screen_size=84, n_stack=4, terminal_on_life_loss=False, clip_reward=False, fire_reset=False,
    action_repeat_probability=0.0,
)  # fmt: skip


def read_reference(path: Path) -> SyntheticDataset:
    with safe_open(path, "pt") as file:
        x, y, rate = (file.get_tensor(name) for name in ("x", "y", "inner_lr"))
        encoder = {
            f"features.cnn.{name.removeprefix('encoder.')}": file.get_tensor(name)
            for name in file.keys()
            if name.startswith("encoder.")
        }
    loop = GradientSteps(learning_rate=float(rate))
    learned = {"log_inner_learning_rates": th.tensor([[float(rate)]]).log()}
    n_layers = len(encoder) // 2
    if x.dim() == 2:
        n_dims = x.shape[1] // 4
        info = DatasetInfo(observation_space(n_dims), spaces.Discrete(2 * n_dims), f"NDCartPole{n_dims}D-v0")
        info.policy = "MlpPolicy"
    else:
        info = DatasetInfo(spaces.Box(0, 255, (4, 84, 84), np.uint8), spaces.Discrete(18), "CentipedeNoFrameskip-v4")
        info.policy, info.encoder_layers = "CnnPolicy", n_layers
        info.wrappers = [{"name": "AtariVecEnv", "entry_point": "atari", "kwargs": ATARI}]
    info.inner_loop = loop.settings()
    return SyntheticDataset(x, y, loop, info, learned, encoder=Encoder(encoder, n_layers, kinds={}) if encoder else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="*", default=list(PAPER), choices=list(PAPER))
    options = parser.parse_args()
    one_thread()
    results = read("reference_sets")
    for name in options.sets:
        paper, dataset = PAPER[name], read_reference(options.folder / f"{name}.safetensors")
        size = (20, 5) if name.startswith("centipede") else (100, 100)
        results[name] = {kind: evaluate_learners(dataset, *size, kind == "greedy").summary() for kind in ("sampled", "greedy")}
        results[name]["paper"] = paper
        sampled, greedy = results[name]["sampled"], results[name]["greedy"]
        print(
            f"{name}: sampled {sampled['mean']:.1f} +- {sampled['std']:.1f} (paper {paper}), greedy {greedy['mean']:.1f}",
            flush=True,
        )
    write("reference_sets", results)


if __name__ == "__main__":
    main()
