"""What the benchmarks share: settings of the cart-pole tasks, and how results are written."""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import torch as th

from sb3_distill import PPMO, make_vec_env
from sb3_distill.dataset_info import library_versions

RESULTS = Path(__file__).parent / "results"
DATASETS = Path(__file__).parent.parent / "sb3_distill" / "datasets"

# Environment steps, environments and rollout length by number of axes; everything else is the same for all.
STEPS = {1: 600_000, 2: 2_400_000, 3: 4_000_000, 4: 6_000_000, 5: 8_000_000, 10: 30_000_000}
SETTINGS: dict[str, Any] = dict(learning_rate=0.02, n_steps=128, batch_size=8192, n_epochs=4, gamma=0.995)
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
    settings = {**SETTINGS, **({"n_steps": 64, "batch_size": 4096} if n_dims == 1 else {}), **changes}
    settings["learning_rate"] = annealed(settings["learning_rate"])
    env = make_vec_env(f"NDCartPole{n_dims}D-v0", N_ENVS, seed=seed)
    start = time.perf_counter()
    model = PPMO("MlpPolicy", env, seed=seed, **settings)
    model.learn(STEPS[n_dims] if steps is None else steps, progress_bar=progress_bar)
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
    path.write_text(json.dumps({**result, "machine": machine()}, indent=2) + "\n")
    return path


def read(name: str) -> dict[str, Any]:
    """What ``write`` wrote, or nothing."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}
