"""Pictures of datasets (needs matplotlib: ``pip install "sb3-distill[plots]"``)."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_distill.dataset import SyntheticDataset
from sb3_distill.evaluation import Evaluation


def show(dataset: SyntheticDataset, path: str | os.PathLike[str]) -> None:
    """
    Draw a dataset instance by instance, as in Figure 3 of Wilhelm & Ventura (2025): what is seen, and what to do.

    N-dimensional cart-pole is drawn as pole angles, any other flat observation as bars; a label as the softmax of its
    logits for discrete actions, as means otherwise.

    :param dataset: what to draw
    :param path: of the PNG
    :raises ImportError: without matplotlib
    """
    plt = _pyplot()
    observations = dataset.encode()
    if isinstance(observations, dict):
        flat = np.concatenate(
            [value.detach().cpu().numpy().reshape(dataset.n_instances, -1) for value in observations.values()], 1
        )
    else:
        flat = observations.detach().cpu().numpy().reshape(dataset.n_instances, -1)
    labels = dataset.labels.detach().cpu().numpy()
    discrete = isinstance(dataset.info.action_space, spaces.Discrete)
    if discrete:
        labels = np.exp(labels - labels.max(axis=1, keepdims=True))
        labels /= labels.sum(axis=1, keepdims=True)
    poles = (dataset.info.env_id or "").startswith(("NDCartPole", "CartPole"))
    n = min(dataset.n_instances, 64)
    columns = min(n, 8)
    rows = math.ceil(n / columns)
    figure, axes = plt.subplots(2 * rows, columns, figsize=(2.2 * columns, 3.4 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    for i in range(n):
        row, column = divmod(i, columns)
        top, bottom = axes[2 * row, column], axes[2 * row + 1, column]
        (_draw_poles if poles else _draw_bars)(top, flat[i])
        top.set_title(f"instance {i + 1}", fontsize=9)
        _draw_bars(bottom, labels[i])
        bottom.set_ylim(*((0, 1) if discrete else (labels.min(), labels.max())))
        bottom.set_title("softmax of the label" if discrete else "label", fontsize=8)
        if labels.shape[1] <= 20:
            bottom.set_xticks(range(labels.shape[1]), _action_names(dataset, labels.shape[1]), fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "sb3-distill[plots]"') from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _action_names(dataset: SyntheticDataset, n: int) -> list[str]:
    if (dataset.info.env_id or "").startswith("NDCartPole"):
        return [f"{'+' if i % 2 else '-'}{'xyzuvwabcd'[i // 2] if n <= 20 else i // 2}" for i in range(n)]
    return [str(i) for i in range(n)]


def heat_map(evaluations: Mapping[str, Evaluation], path: str | os.PathLike[str], title: str = "") -> None:
    """
    Draw the mean returns of the cells of a grid.

    :param evaluations: by name of the cell
    :param path: of the PNG
    :param title: of the picture
    :raises ImportError: without matplotlib
    """
    plt = _pyplot()
    columns = math.ceil(math.sqrt(len(evaluations))) if len(evaluations) > 8 else len(evaluations)
    rows = math.ceil(len(evaluations) / columns)
    means = np.full(rows * columns, np.nan)
    means[: len(evaluations)] = [evaluation.mean for evaluation in evaluations.values()]
    figure, axis = plt.subplots(figsize=(1.6 * columns + 1.5, 0.9 * rows + 0.8), layout="constrained")
    image = axis.imshow(means.reshape(rows, columns), cmap="viridis", aspect="auto")
    figure.colorbar(image, label="mean return")
    low, high = np.nanmin(means), np.nanmax(means)
    for i, name in enumerate(evaluations):
        color = "black" if means[i] > (low + high) / 2 or low == high else "white"
        label = "\n".join(name.split(" ", 1)) if " " in name else name
        axis.text(i % columns, i // columns, f"{label}\n{means[i]:.1f}", ha="center", va="center", fontsize=6, color=color)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(title)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _draw_poles(axis: Any, observation: Any) -> None:
    # Synthetic angles are not bound to what a pole can do; the arctangent keeps the order and fits the page.
    angles = observation.reshape(-1, 4)[:, 2]
    for i, angle in enumerate(angles):
        lean = math.atan(angle)
        axis.plot([i, i + 0.45 * math.sin(lean)], [0, math.cos(lean)], linewidth=4, solid_capstyle="round", color="#ca7a3c")
        axis.plot([i - 0.15, i + 0.15], [0, 0], linewidth=7, color="black", solid_capstyle="butt")
        axis.text(i, -0.25, f"{angle:+.2f}", ha="center", va="top", fontsize=7)
    axis.set_xlim(-0.6, len(angles) - 0.4)
    axis.set_ylim(-0.6, 1.15)
    axis.set_aspect("equal")


def _draw_bars(axis: Any, values: Any) -> None:
    axis.set_axis_on()
    axis.bar(range(len(values)), values, color="#3c7aca")
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
