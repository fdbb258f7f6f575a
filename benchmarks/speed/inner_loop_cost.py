"""
What the kinds of inner learning cost: CPU seconds of an iteration (rollout and meta-updates) of 2-D cart-pole with 8
learners, in turns, and the memory that the meta-gradient holds; 8 learners of four shapes against 8 of one; carry against
ridge.

    python benchmarks/speed/inner_loop_cost.py
    python benchmarks/speed/inner_loop_cost.py --only ridge carry "ridge, wider, k=6" "carry, wider, k=6"
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch as th

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.any_learner import several_steps
from benchmarks.lib.cartpole import N_ENVS
from benchmarks.lib.compare import show_against_last
from benchmarks.lib.results import one_thread, read, write
from sb3_distill import PPMO, make_vec_env
from sb3_distill.typing import Json

VARIANTS: dict[str, Json] = {
    "1 step": {},
    "1 step, rate per role": dict(inner_rate_per_role=True),
    "2 steps, rate per role, relative": several_steps(2),
    "5 steps": dict(n_inner_steps=5),
    "ridge": dict(inner_loop="ridge"),
    "1 step, four shapes": dict(learner_distribution={"width": [56, 72]}),
    "ridge, four shapes": dict(inner_loop="ridge", learner_distribution={"width": [56, 72]}),
    "ridge, k=64": dict(inner_loop="ridge", n_instances=64),
    "carry": dict(inner_loop="carry"),
    "carry, k=64": dict(inner_loop="carry", n_instances=64),
    **{
        f"{loop}, wider, k={k}": dict(inner_loop=loop, n_instances=k, n_learners=32, learner_distribution="wider")
        for k in (6, 128)
        for loop in ("ridge", "carry")
    },
}
PAIRS = [
    *((kind, f"{kind}, four shapes") for kind in ("1 step", "ridge")),
    *((f"ridge{rest}", f"carry{rest}") for rest in ("", ", k=64", ", wider, k=6", ", wider, k=128")),
]
ROUNDS = 12


def held_bytes(model: PPMO) -> int:
    """Bytes that autograd keeps for the way back through the inner loop, for all learners."""
    held = 0

    def pack(tensor: th.Tensor) -> th.Tensor:
        nonlocal held
        held += tensor.numel() * tensor.element_size()
        return tensor

    with th.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.dataset.teach(model.parts.learners)
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), metavar="NAME", help="compare these, and write nothing")
    options = parser.parse_args()
    one_thread()
    models = {}
    for name in options.only or VARIANTS:
        settings = VARIANTS[name]
        env = make_vec_env("NDCartPole2D-v0", N_ENVS, seed=0)
        settings = {**dict(n_instances=16, n_learners=8, ent_coef=0.0, normalize=False), **settings}
        models[name] = PPMO("MlpPolicy", env, n_epochs=1, batch_size=2048, seed=0, **settings)
        models[name].learn(1)
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(ROUNDS):
        for name, model in models.items():
            start = time.process_time()
            model.learn(1, reset_num_timesteps=False)
            seconds[name].append(time.process_time() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    result = {name: {"seconds": median, "held_kilobytes": held_bytes(models[name]) / 1000} for name, median in medians.items()}
    for name, row in result.items():
        print(f"{name}: {row['seconds'] * 1000:.0f} ms per iteration, {row['held_kilobytes']:.0f} kB held")
    for one, other in PAIRS:
        if one in medians and other in medians:
            print(f"{other} takes {medians[other] / medians[one]:.2f} times as long as {one}")
    if options.only:
        return
    last = {name: row["seconds"] for name, row in read("inner_loop_cost").items() if name in result}
    show_against_last("inner_loop_cost", medians, last)
    write("inner_loop_cost", result)


if __name__ == "__main__":
    main()
