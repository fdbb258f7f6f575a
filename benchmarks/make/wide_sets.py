"""
Make the shipped sets that teach any learner (``NDCartPole<N>D-v0/any``, labels carried through every layer, ``/wide``, ridge
head, ``/wide-sgd``, one gradient step, and ``/wide-steps``, two) and evaluate them on the columns of Table 1: 100 learners x
100 episodes each, sampled actions.

    python benchmarks/make/wide_sets.py ridge 1 2 3 4 5
    python benchmarks/make/wide_sets.py carry 1 2 3 4 5
    python benchmarks/make/wide_sets.py sgd 1 2 3            # normalised observations
    python benchmarks/make/wide_sets.py sgd-raw 1 2 3        # observations as they are
    python benchmarks/make/wide_sets.py steps 1 2 3          # two gradient steps
    python benchmarks/make/wide_sets.py refine 4 5           # goes on from the shipped ridge set, on what it teaches worst
    python benchmarks/make/wide_sets.py deepen 5             # the same, above all for deep networks, with 128 instances
    python benchmarks/make/wide_sets.py narrow 2             # the same, above all for narrow networks
    python benchmarks/make/wide_sets.py quick 2              # ridge, half the instances, not kept
    python benchmarks/make/wide_sets.py ridge 2 --evaluate   # the shipped set, as it is
"""

import argparse
import sys
from pathlib import Path

import torch as th

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.any_learner import RATES, several_steps
from benchmarks.lib.cartpole import distil
from benchmarks.lib.results import DATASETS, PICTURES, one_thread, read, write
from sb3_distill import SyntheticDataset, evaluate_learners
from sb3_distill.evaluation.grids import RANDOM
from sb3_distill.learners.architecture import ACTIVATIONS
from sb3_distill.learners.named import ANY_INIT, TABLE_1
from sb3_distill.report.pictures import heat_map
from sb3_distill.typing import Json

RIDGE: Json = dict(RATES, inner_loop="ridge", learner_distribution="wide", n_instances=64, n_learners=32)
CARRY: Json = dict(RATES, inner_loop="carry", learner_distribution="wider", n_learners=32, weight_decay=0.1)
SGD: Json = dict(RATES, inner_rate_per_role=True, learner_distribution="table1", n_instances=16, n_learners=32)


def columns(weights: dict[str, float]) -> list[Json]:
    """A mixture of columns of Table 1."""
    return [{**TABLE_1[name], "weight": weight} for name, weight in weights.items()]


STEPS: Json = {**SGD, **several_steps(2)}
WEAK = {"lambda": 1, "ortho-1": 0.5, "xe": 3, "xe-1": 1.5, "random-h": 0.5, "random-l": 0.5, "random-l-tanh": 3}
NORMALIZED: Json = dict(SGD, n_learners=64, weight_decay=0.2, normalize=True, input_scale_learning_rate="lin_0.03")
XAVIER = {"lambda": 1, "ortho-1": 0.5, "xe": 3, "xe-1": 3, "random-h": 0.5, "random-l": 0.5, "random-l-tanh": 0.5}
REFINE: Json = dict(
    inner_loop="ridge",
    learner_distribution=columns(WEAK),
    n_learners=32,
    weight_decay=0.2,
    learning_rate="lin_0.01",
    labels_learning_rate="lin_0.1",
    rates_learning_rate="lin_0.05",
)
DEEP = {"init": "orthogonal", "depth": [5, 6], "activation": "tanh", "weight": 4}
DEEPEN: Json = dict(
    REFINE,
    learner_distribution=[*columns({**WEAK, "xe": 2, "random-l-tanh": 2}), DEEP],
    n_learners=64,
)
USUAL: Json = dict(init=ANY_INIT, depth=[1, 8], activation=list(ACTIVATIONS))
NARROW: Json = dict(
    REFINE,
    learner_distribution=[
        *columns({"lambda": 0.3, "xe": 0.3, "random-l-tanh": 0.3}),
        dict(USUAL, width=[16, 64], last_gain=0.01, layer_norm=0.35, weight=4),
        dict(USUAL, width=[64, 256], last_gain=1.0, layer_norm=0.5, weight=2),
        dict(init="pytorch", activation="relu", width=64, depth=2, weight=8),  # the network of DQN
    ],
    n_learners=64,
)
KINDS: dict[str, tuple[str, Json, dict[int, float]]] = {
    # name of the set, settings, environment steps by number of axes
    "ridge": ("wide", RIDGE, {1: 2e6, 2: 4e6, 3: 8e6, 4: 16e6, 5: 16e6}),
    "refine": ("wide", REFINE, {4: 8e6, 5: 16e6}),
    "deepen": ("wide", DEEPEN, {5: 16e6}),
    "narrow": ("wide", NARROW, {2: 4e6}),
    "quick": ("wide-quick", RIDGE, {2: 3e6}),
    "carry": ("any", CARRY, {1: 1e6, 2: 2.5e6, 3: 4e6, 4: 6e6, 5: 10e6}),
    "sgd": ("wide-sgd", NORMALIZED, {1: 8e6, 2: 15e6, 3: 20e6}),
    "sgd-raw": ("wide-sgd-raw", SGD, {1: 2e6, 2: 15e6, 3: 20e6}),
    "steps": ("wide-steps", STEPS, {1: 1e6, 2: 4e6, 3: 8e6}),
}
MORE = dict(n_instances=128, n_learners=64, weight_decay=0.2)
CHANGES: dict[tuple[str, int], Json] = {
    # The set that is also evaluated on the grid of 64 random networks.
    ("ridge", 2): dict(MORE, learner_distribution="wider"),
    **{("ridge", n_dims): MORE for n_dims in (3, 4)},
    # Xavier above all, which one step teaches worst.
    **{("sgd", n_dims): dict(learner_distribution=columns(XAVIER)) for n_dims in (1, 2, 3)},
    ("sgd-raw", 2): dict(n_learners=64, learner_distribution=columns(XAVIER)),
    ("sgd-raw", 3): dict(
        n_instances=24,
        n_learners=64,
        learner_distribution=columns({**dict.fromkeys(TABLE_1, 1), "random-l-tanh": 2}),
    ),
    ("ridge", 5): dict(weight_decay=0.2),
    **{("carry", n_dims): dict(n_instances=k) for n_dims, k in ((1, 4), (2, 16), (3, 48), (4, 12), (5, 16))},
}


def doubled(dataset: SyntheticDataset) -> SyntheticDataset:
    """A copy of each instance, moved a little."""
    x, y = dataset.observations.detach(), dataset.labels.detach()
    moved = x + 0.3 * x.std(0) * th.randn(x.shape, generator=th.Generator().manual_seed(0))
    learned = {name: value.detach() for name, value in dataset.learned.items()}
    return SyntheticDataset(th.cat([x, moved]), th.cat([y, y]), dataset.inner_loop, dataset.info, learned)


def random_networks(dataset: SyntheticDataset, name: str) -> None:
    """The grid of 64 random networks, 20 learners x 20 episodes each."""
    evaluations = evaluate_learners(dataset, 20, 20, grid=RANDOM)
    cells = {cell: evaluation.summary() for cell, evaluation in evaluations.items()}
    share = sum(cell["mean"] >= 495 for cell in cells.values()) / len(cells)
    print(f"{name}: {100 * share:.0f} % of the random networks at 495 or more")
    heat_map(evaluations, PICTURES / f"{RANDOM}.png", name)
    write(RANDOM, {"dataset": name, "learners": 20, "episodes": 20, "fraction_at_495": share, "cells": cells})


def settings_of(kind: str, n_dims: int) -> tuple[Json, int]:
    """
    :param kind: a name of ``KINDS``
    :param n_dims: number of axes
    :return: arguments of ``PPMO``, and environment steps
    """
    _, common, steps = KINDS[kind]
    return {**common, "clip_range": 0.3 if n_dims < 4 else 0.4, **CHANGES.get((kind, n_dims), {})}, int(steps[n_dims])


def distil_wide(kind: str, n_dims: int, seed: int, path: Path, entry: Json) -> tuple[SyntheticDataset, Json]:
    """
    :param kind: a name of ``KINDS``
    :param n_dims: number of axes
    :param seed: seed of environments, learners and dataset
    :param path: file of the shipped set, for kinds that go on from it
    :param entry: result of the shipped set
    :return: a new set, and what it cost with the set that it goes on from
    """
    settings, steps = settings_of(kind, n_dims)
    seconds_before, steps_before = 0.0, 0
    if kind in ("refine", "deepen", "narrow"):
        shipped = SyntheticDataset.load(path)
        settings["initial_dataset"] = doubled(shipped) if kind == "deepen" and shipped.n_instances < 128 else shipped
        seconds_before, steps_before = entry["seconds"], entry["steps"]
    model, seconds = distil(n_dims, seed, steps, **settings)
    return model.dataset, {
        "seconds": seconds + seconds_before,
        "seed": seed,
        "steps": model.num_timesteps + steps_before,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("n_dims", type=int, nargs="+", help="numbers of axes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate", action="store_true", help="do not distil, evaluate the shipped set")
    options = parser.parse_args()
    one_thread()
    variant, *_ = KINDS[options.kind]
    for n_dims in options.n_dims:
        path = DATASETS / f"NDCartPole{n_dims}D-v0--{variant}.safetensors"
        entry = read("wide").get(f"{n_dims}-D/{variant}", {})
        if options.evaluate:
            dataset = SyntheticDataset.load(path)
        else:
            dataset, entry = distil_wide(options.kind, n_dims, options.seed, path, entry)
        evaluations = evaluate_learners(dataset, 100, 100, seed=1, grid="table1")
        cells = {name: {"mean": e.mean, "std": e.std} for name, e in evaluations.items()}
        entry |= {"k": dataset.n_instances, "inner_loop": dataset.info.inner_loop, "cells": cells}
        print(f"{n_dims}-D {variant}: {entry.get('seconds', 0):.0f} s", {n: round(c["mean"], 1) for n, c in cells.items()})
        dataset.info.scores = {"sampled": evaluations["lambda"].summary(), "table1": cells}
        if options.kind != "quick":
            dataset.save(path)
        write("wide", {**read("wide"), f"{n_dims}-D/{variant}": entry})
        if n_dims == 2 and variant == "wide":
            random_networks(dataset, path.stem.replace("--", "/"))


if __name__ == "__main__":
    main()
