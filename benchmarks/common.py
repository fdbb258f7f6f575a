"""What the benchmarks share: settings of the cart-pole tasks, and how results are written."""

import json
import os
import platform
import re
import time
from pathlib import Path
from typing import Any

import torch as th

from sb3_distill import PPMO, make_vec_env
from sb3_distill.dataset.info import library_versions

RESULTS = Path(__file__).parent / "results"
PICTURES = Path(__file__).parent.parent / "docs" / "images"
DATASETS = Path(__file__).parent.parent / "sb3_distill" / "dataset" / "shipped"

# Found on the seeds 0 to 2. More axes need a wider trust region, more steps, and instances kept smaller.
SETTINGS: dict[str, Any] = dict(n_steps=128, batch_size=2048, n_epochs=1, gamma=0.995, n_learners=64)
# Step sizes, all of which fall linearly to zero.
RATES = dict(learning_rate=0.03, labels_learning_rate=0.075, rates_learning_rate=0.075, critic_learning_rate=0.0075)
BY_AXES: dict[int, dict[str, Any]] = {
    1: dict(steps=350_000, weight_decay=0.1, n_steps=32, batch_size=512, gamma=0.98),
    2: dict(steps=2_400_000, weight_decay=0.2),
    3: dict(steps=4_000_000, weight_decay=0.5, clip_range=0.3),
    4: dict(steps=5_500_000, weight_decay=0.5, clip_range=0.4),
    5: dict(steps=6_500_000, weight_decay=0.5, clip_range=0.4),
    10: dict(steps=16_000_000, weight_decay=0.5, clip_range=0.4),
}
N_ENVS = 256


def annealed(rate: float) -> Any:
    """A step size that falls linearly to zero."""
    return lambda progress_remaining: rate * progress_remaining


def distil(n_dims: int, seed: int, steps: int | None = None, progress_bar: bool = False, **changes: Any) -> tuple[PPMO, float]:
    """
    :param n_dims: number of axes
    :param seed: of everything
    :param steps: environment steps; ``None`` for the tuned number
    :param changes: of the settings
    :return: the model after training, and the seconds from constructing ``PPMO`` to the end of ``learn``
    """
    settings = {**SETTINGS, **BY_AXES[n_dims], **changes}
    tuned_steps = settings.pop("steps")
    settings |= {name: annealed(rate) for name, rate in RATES.items() if name not in changes}
    env = make_vec_env(f"NDCartPole{n_dims}D-v0", N_ENVS, seed=seed)
    start = time.perf_counter()
    model = PPMO("MlpPolicy", env, seed=seed, **settings)
    model.learn(tuned_steps if steps is None else steps, progress_bar=progress_bar)
    return model, time.perf_counter() - start


def one_thread() -> None:
    """Small networks are fastest with one thread per process."""
    th.set_num_threads(1)


def machine() -> dict[str, Any]:
    """Where a result was measured, and with what."""
    return {"processor": platform.machine(), "cores": os.cpu_count(), "threads": th.get_num_threads(), **library_versions()}


def write(name: str, result: dict[str, Any]) -> Path:
    """
    :param name: of the file, without ending
    :param result: in JSON form
    :return: where it was written: ``benchmarks/results/<name>.json``
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps({**result, "machine": machine()}, indent=2)
    path.write_text(re.sub(r"\[[^\[\]{}\"]+\]", lambda numbers: " ".join(numbers[0].split()), text) + "\n")  # a line each
    return path


def read(name: str) -> dict[str, Any]:
    """What ``write`` wrote, or nothing."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}
