"""
Labelled data: scikit-learn's digits (8 x 8 pixels, 1000 images to distil, 797 for the test). Accuracy of fresh learners that
were taught k images, beside the same networks trained on everything, and what learned pixels add to learned labels. Needs
``pip install scikit-learn``.

    python benchmarks/studies/supervised.py                      # all cells that are not in the JSON yet
    python benchmarks/studies/supervised.py --networks 16 --loops ridge --k 10 --seeds 0 [--anew]
    python benchmarks/studies/supervised.py --show

Methods: ``distilled``, pixels and labels learned; ``real``, real images of the classes in turn, and ``centres``, centres of
k-means with the mean one-hot label of their images, both with rates of the inner loop learned alone; ``real, labels`` and
``centres, labels``, where pixels stay and labels and rates are learned.
"""

import argparse
import itertools
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch as th

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.digits import NETWORKS, Pair, draw, policy_kwargs, seen, split, train_on_everything
from benchmarks.lib.results import RUNS, one_thread, read, write
from sb3_distill import SupervisedDistillation, SyntheticDataset, evaluate_supervised
from sb3_distill.typing import Json

NAME = "supervised"
LOOPS: dict[str, Json] = {
    "one step": {"inner_loop": "sgd", "weight_decay": 3.0},
    "two steps": {"inner_loop": "sgd", "n_inner_steps": 2, "weight_decay": 3.0},
    "ridge": {"inner_loop": "ridge", "weight_decay": 3.0},
    "carry": {"inner_loop": "carry", "carry_strength": 0.3, "weight_decay": 1.0, "regularizers": {"dropout": 0.3}},
}
"""Settings were chosen on the validation part of the training split, with the networks of 64-64 and k = 10."""
SIZES = (6, 10, 32)
METHODS = ("distilled", "real", "centres", "real, labels", "centres, labels")
UPDATES = {"distilled": 800, "real": 150, "centres": 150, "real, labels": 400, "centres, labels": 400}
"""Where pixels stay, fewer updates are enough."""
RATES: Json = {"labels_learning_rate": "lin_0.1", "rates_learning_rate": "lin_0.05"}
"""Step sizes where pixels stay, those of a run that learns the pixels too."""


def arguments(network: str, loop: str, k: int, seed: int) -> dict[str, Any]:
    """What all methods share."""
    return {**LOOPS[loop], "policy_kwargs": policy_kwargs(network), "n_instances": k, "seed": seed, "device": "cpu"}


def start(data: Pair, method: str, settings: dict[str, Any]) -> SyntheticDataset:
    """Real images, or centres of k-means, with their labels."""
    from sklearn.cluster import KMeans

    k, seed = settings["n_instances"], settings["seed"]
    dataset = SupervisedDistillation(data, dataset_init="data", **settings).dataset
    if method.startswith("centres"):
        images = seen(data, data[0])
        groups = KMeans(k, n_init=10, random_state=seed).fit(images.numpy())
        pixels = th.as_tensor(groups.cluster_centers_, dtype=th.float32)
        labels = np.stack([np.eye(10)[data[1][groups.labels_ == i]].mean(axis=0) for i in range(k)])
    else:
        pixels = dataset.observation_parameters()[0].detach().clone()
        labels = np.eye(10)[np.arange(k) % 10]  # the order in which a start takes classes
    with th.no_grad():
        dataset.observation_parameters()[0].copy_(pixels)
        dataset.labels.copy_(th.as_tensor(labels))
    return dataset


def distil(data: Pair, method: str, settings: dict[str, Any], **changes: Any) -> SupervisedDistillation:
    """
    :param data: images to distil
    :param method: one of ``METHODS``
    :param settings: see ``arguments``
    :param changes: other arguments, for the choice of settings
    :return: the run, done
    """
    if method == "distilled":
        return SupervisedDistillation(data, **{**settings, **changes}).learn(UPDATES[method])
    frozen = {"learning_rate": 0.0, **RATES, **({} if "labels" in method else {"labels_learning_rate": 0.0})}
    run = SupervisedDistillation(data, **{**settings, **frozen, "initial_dataset": start(data, method, settings)})
    return run.learn(UPDATES[method])


def run_cell(network: str, k: int, loop: str, method: str, seed: int, anew: bool) -> None:
    """Distil, score on the test split and keep, unless the result is there."""
    name = f"{network}/k={k}/{loop}/{method}/seed {seed}"
    if name in read(NAME) and not anew:
        return
    train, test = split()
    began = time.process_time()
    run = distil(train, method, arguments(network, loop, k, seed))
    seconds = time.process_time() - began
    row = {**run.evaluate(test).summary(), "seconds": seconds, **run.dataset.inner_loop.rates(run.dataset.learned)}
    RUNS.mkdir(exist_ok=True)
    run.dataset.save(RUNS / f"digits-{name.replace('/', '-').replace(' ', '')}.safetensors")
    write(NAME, {**read(NAME), name: row})
    print(f"{name}: {row['mean']:.3f} +- {row['std']:.3f}, together {row['ensemble']:.3f}, {seconds:.0f} s", flush=True)


def run_everything(network: str, seed: int, anew: bool) -> None:
    """Ten networks, each trained on all images."""
    name = f"{network}/everything/seed {seed}"
    if name in read(NAME) and not anew:
        return
    train, test = split()
    run = SupervisedDistillation(train, policy_kwargs=policy_kwargs(network), seed=0, device="cpu")
    began = time.process_time()
    trained = train_on_everything(draw(run, 10, seed), run.inputs, run.targets, seed=seed)
    seconds = time.process_time() - began
    row = evaluate_supervised(
        run.dataset, test, 10, policy_kwargs=policy_kwargs(network), teach=lambda _: trained, device="cpu"
    ).summary()
    write(NAME, {**read(NAME), name: {**row, "seconds": seconds}})
    print(f"{name}: {row['mean']:.3f} +- {row['std']:.3f}, together {row['ensemble']:.3f}, {seconds:.0f} s", flush=True)


def cells(network: str, k: int | str, loop: str, method: str) -> list[Json]:
    """Results of all seeds."""
    return [row for name, row in read(NAME).items() if name.startswith(f"{network}/k={k}/{loop}/{method}/seed")]


def figures(rows: list[Json]) -> str:
    """Mean, spread over learners, worst learner and all together, as means over seeds; the spread of the mean over seeds."""
    if not rows:
        return ""
    mean, std, worst, together = (np.array([row[key] for row in rows]) for key in ("mean", "std", "worst", "ensemble"))
    spread = f" ({mean.min():.3f} to {mean.max():.3f})" if len(rows) > 1 else ""
    return f"{mean.mean():.3f}{spread} | {std.mean():.3f} | {worst.min():.3f} | {together.mean():.3f}"


def show() -> None:
    """The tables of the documentation."""
    for network in NETWORKS:
        rows = [row for name, row in read(NAME).items() if name.startswith(f"{network}/everything")]
        print(f"\n{network}\n| k | loop | mean (seeds) | spread | worst | together |\n|---|---|---|---|---|---|")
        for k, loop in itertools.product(SIZES, LOOPS):
            print(f"| {k} | {loop} | {figures(cells(network, k, loop, 'distilled'))} |")
        print(f"| 1000 | trained on everything | {figures(rows)} |")
        print("\n| k | loop | " + " | ".join(METHODS) + " |\n|---|---|" + "---|" * len(METHODS))
        for k, loop in itertools.product(SIZES, LOOPS):
            every = [cells(network, k, loop, method) for method in METHODS]
            if all(every):
                means = [
                    f"{np.mean([r['mean'] for r in row]):.3f} / {np.mean([r['ensemble'] for r in row]):.3f}" for row in every
                ]
                print(f"| {k} | {loop} | " + " | ".join(means) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--loops", nargs="*", default=list(LOOPS), choices=list(LOOPS))
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--k", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--anew", action="store_true", help="also where there is a result")
    parser.add_argument("--show", action="store_true", help="only show the tables")
    options = parser.parse_args()
    one_thread()
    if not options.show:
        for network, seed in itertools.product(options.networks, options.seeds[:1]):
            run_everything(network, seed, options.anew)
        for seed, *cell in itertools.product(options.seeds, options.networks, options.k, options.loops, options.methods):
            if cell[2] != "two steps" or cell[3] == "distilled":  # what pixels add is asked of the other loops
                run_cell(*cell, seed, options.anew)
    show()


if __name__ == "__main__":
    main()
