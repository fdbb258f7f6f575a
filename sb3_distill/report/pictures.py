"""
Pictures of datasets and scores (need matplotlib: ``pip install "sb3-distill[plots]"``).

Figures are drawn without ``pyplot``, which would choose a backend for the whole process.
"""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from gymnasium import spaces

from sb3_distill import trees
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.environments.atari.games import game_buttons
from sb3_distill.errors import ArgumentError, MissingExtraError
from sb3_distill.evaluation.result import Evaluation
from sb3_distill.typing import Array, Json, Observations
from sb3_distill.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_INSTANCES = 64
"""Largest number of instances in a picture; the first ones are drawn."""


def new_figure(width: float, height: float) -> "Figure":
    """
    :param width: width in inches
    :param height: height in inches
    :return: an empty figure
    :raises ImportError: without matplotlib
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError('pictures need matplotlib: pip install "sb3-distill[plots]"') from error
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: "Figure", path: str | os.PathLike[str], dpi: int, bbox_inches: str | None = None) -> None:
    """The folder is made if missing; the picture appears whole or not at all."""
    try:
        write_whole(Path(path), lambda scratch: figure.savefig(scratch, dpi=dpi, bbox_inches=bbox_inches))
    except ValueError as error:  # an ending that matplotlib has no format for
        raise ArgumentError(f"{path} cannot be drawn: {error}") from error


def show(dataset: SyntheticDataset | str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """
    Draw a dataset instance by instance, as in Figure 3 of Wilhelm & Ventura (2025): what is seen, and what to do.

    N-dimensional cart-pole is drawn as pole angles, images as strips of their channels (the frames of a stack, the latest one
    last) or in colour, any other observation as bars; a label as the softmax of its logits for discrete actions, as means
    otherwise.

    :param dataset: a dataset, a path, or the name of a shipped set
    :param path: path of the picture; its ending says the format, ``*.png`` for instance
    :raises ImportError: without matplotlib
    :raises ValueError: for a format that matplotlib does not write
    """
    dataset = SyntheticDataset.of(dataset)
    observations = _rows(dataset.encode())
    draw = _drawing_of(dataset, observations)
    labels, limits, kind = _drawn_labels(dataset)
    n = min(dataset.n_instances, MOST_INSTANCES)
    columns, width = (2, 5.0) if draw is _draw_image else (min(n, 8), 2.2)
    rows = math.ceil(n / columns)
    figure = new_figure(width * columns, 3.4 * rows)
    axes = figure.subplots(2 * rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for i in range(n):
        row, column = divmod(i, columns)
        top, bottom = axes[2 * row, column], axes[2 * row + 1, column]
        draw(top, observations[i])
        top.set_title(f"instance {i + 1}", fontsize=9)
        _draw_bars(bottom, labels[i])
        bottom.set_ylim(*limits)
        bottom.set_title(kind, fontsize=8)
        _name_actions(bottom, dataset, labels.shape[1])
    _save(figure, path, dpi=110, bbox_inches="tight")  # the layout alone forgets tick labels beside images


def _rows(observations: Observations) -> Array:
    """Images as they are ``(k, channels, height, width)``, anything else as vectors ``(k, d)``."""
    leaves = [value.detach().cpu().numpy() for value in trees.leaves(observations)]
    if len(leaves) == 1 and leaves[0].ndim == 4 and not isinstance(observations, Mapping):
        return leaves[0]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def _drawing_of(dataset: SyntheticDataset, observations: Array) -> "Callable[[Axes, Array], None]":
    if (dataset.info.env_id or "").startswith(("NDCartPole", "CartPole")):
        return _draw_poles
    return _draw_image if observations.ndim == 4 else _draw_bars


def _drawn_labels(dataset: SyntheticDataset) -> tuple[Array, tuple[float, float], str]:
    """The height of each bar ``(k, width)``, the lower and upper limit of all, and what they are."""
    labels = dataset.labels.detach().cpu().numpy()
    if not isinstance(dataset.info.action_space, spaces.Discrete):
        return labels, (labels.min(), labels.max()), "label"
    softmax = np.exp(labels - labels.max(axis=1, keepdims=True))
    return softmax / softmax.sum(axis=1, keepdims=True), (0.0, 1.0), "softmax of the label"


def _name_actions(axis: "Axes", dataset: SyntheticDataset, n: int) -> None:
    if n > 20:
        return
    names = game_buttons(dataset.info) or [str(i) for i in range(n)]
    if (dataset.info.env_id or "").startswith("NDCartPole"):
        names = [f"{'+' if i % 2 else '-'}{'xyzuvwabcd'[i // 2]}" for i in range(n)]
    axis.set_xticks(range(n), names, fontsize=7, rotation=90 if max(map(len, names)) > 3 else 0)


def heat_map(evaluations: Mapping[str, Evaluation], path: str | os.PathLike[str], title: str = "") -> None:
    """
    Draw the mean returns of the cells of a grid.

    :param evaluations: one for each cell, by its name
    :param path: path of the picture; its ending says the format, ``*.png`` for instance
    :param title: title of the picture
    :raises ImportError: without matplotlib
    """
    columns = math.ceil(math.sqrt(len(evaluations))) if len(evaluations) > 8 else len(evaluations)
    rows = math.ceil(len(evaluations) / columns)
    means = np.full(rows * columns, np.nan)
    means[: len(evaluations)] = [evaluation.mean for evaluation in evaluations.values()]
    figure = new_figure(1.6 * columns + 1.5, 0.9 * rows + 0.8)
    axis = figure.subplots()
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
    _save(figure, path, dpi=150)


def ladder(results: Mapping[str, Json], path: str | os.PathLike[str], title: str = "") -> None:
    """
    Draw the scores of a rollback against the layers in the encoder.

    :param results: what ``rollback`` returns
    :param path: path of the picture; its ending says the format, ``*.png`` for instance
    :param title: title of the picture
    :raises ImportError: without matplotlib
    """
    figure = new_figure(5, 3.2)
    axis = figure.subplots()
    levels = [int(level) for level in results]
    for kind, style in (("sampled", "o-"), ("greedy", "o--")):
        means, deviations = ([row[kind][what] for row in results.values()] for what in ("mean", "std"))
        axis.errorbar(levels, means, deviations, fmt=style, capsize=3, label=kind)
    axis.invert_xaxis()
    axis.set_xticks(levels)
    axis.set(xlabel="layers in the encoder (0: full distillation)", ylabel="return of fresh learners", title=title)
    axis.legend()
    _save(figure, path, dpi=130)


def _draw_poles(axis: "Axes", observation: Array) -> None:
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


def _draw_image(axis: "Axes", image: Array) -> None:
    # Synthetic pixels are not bound to what a screen can show.
    low, high = image.min(), image.max()
    image = (image - low) / (high - low if high > low else 1)
    if len(image) == 3:
        axis.imshow(image.transpose(1, 2, 0))
    else:
        axis.imshow(np.concatenate(list(image), axis=1), cmap="gray", vmin=0, vmax=1)
        for i in range(1, len(image)):
            axis.axvline(i * image.shape[2] - 0.5, color="white", linewidth=1)


def _draw_bars(axis: "Axes", values: Array) -> None:
    axis.set_axis_on()
    axis.bar(range(len(values)), values, color="#3c7aca")
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
