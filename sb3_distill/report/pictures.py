"""
Pictures of datasets and scores (need matplotlib: ``pip install "sb3-distill[plots]"``).

Each function returns the ``Figure``, draws into the axes ``ax`` if there are any, and writes a file if ``path`` says where.
Figures are drawn without ``pyplot``, which would choose a backend for the whole process.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.errors import ArgumentError, MissingExtraError
from sb3_distill.evaluation.result import Evaluation
from sb3_distill.report.instances import draw_heat_map, draw_panels, panel_grid, rows_of
from sb3_distill.typing import Json
from sb3_distill.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 16
"""Largest number of instances that are drawn one by one; more of them are drawn as one heat map."""
MOST_ROWS = 512
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


def figure_of(ax: "Axes") -> "Figure":
    """The figure of axes, also where they are in a part of it."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ArgumentError("`ax` has no figure any more: pass axes of a figure")
    return figure


def save_figure(figure: "Figure", path: str | os.PathLike[str] | None, dpi: int) -> "Figure":
    """The folder is made if missing; the picture appears whole or not at all; margins fit what was drawn."""
    if path is None:
        return figure
    try:
        write_whole(Path(path), lambda scratch: figure.savefig(scratch, dpi=dpi, bbox_inches="tight"))
    except ValueError as error:  # an ending that matplotlib has no format for
        raise ArgumentError(f"{path} cannot be drawn: {error}") from error
    return figure


def show(dataset: DatasetLike, path: str | os.PathLike[str] | None = None, ax: "Axes | None" = None) -> "Figure":
    """
    Draw a dataset, as in Figure 3 of Wilhelm & Ventura (2025): what is seen, and what to do.

    Up to 16 instances have a panel each. N-dimensional cart-pole is drawn as pole angles, images as strips of their channels
    (the frames of a stack, the latest one last) or in colour, any other observation as bars; a label as the softmax of its
    logits for discrete actions, as means otherwise. More instances are the rows of one heat map: the numbers of the
    observation (of images, tiles) and of the label, with their scales.

    :param dataset: a dataset, a path, or the name of a shipped set
    :param path: path of the picture; its ending says the format, ``*.png`` for instance. ``None`` for no file
    :param ax: axes to draw into; ``None`` for a new figure
    :return: the figure
    :raises ImportError: without matplotlib
    :raises ValueError: for a format that matplotlib does not write
    """
    dataset = SyntheticDataset.of(dataset)
    observations = rows_of(dataset.encode())[:MOST_ROWS]
    few = len(observations) <= MOST_PANELS
    if ax is None:
        rows, columns = panel_grid(dataset, observations)
        width = 5.0 if observations.ndim == 4 else 2.2
        ax = new_figure(*((width * columns, 3.4 * rows) if few else (11, 7))).subplots()
    (draw_panels if few else draw_heat_map)(ax, dataset, observations)
    return save_figure(figure_of(ax), path, dpi=110)


def heat_map(
    evaluations: Mapping[str, Evaluation],
    path: str | os.PathLike[str] | None = None,
    title: str = "",
    ax: "Axes | None" = None,
) -> "Figure":
    """
    Draw the mean returns of the cells of a grid.

    :param evaluations: one for each cell, by its name
    :param path: path of the picture; its ending says the format, ``*.png`` for instance. ``None`` for no file
    :param title: title of the picture
    :param ax: axes to draw into; ``None`` for a new figure
    :return: the figure
    :raises ImportError: without matplotlib
    :raises ValueError: if there is no cell, or for a format that matplotlib does not write
    """
    if not evaluations:
        raise ArgumentError("`evaluations` is empty: a heat map needs one cell at least")
    columns = math.ceil(math.sqrt(len(evaluations))) if len(evaluations) > 8 else len(evaluations)
    rows = math.ceil(len(evaluations) / columns)
    means = np.full(rows * columns, np.nan)
    means[: len(evaluations)] = [evaluation.mean for evaluation in evaluations.values()]
    if ax is None:
        ax = new_figure(1.6 * columns + 1.5, 0.9 * rows + 0.8).subplots()
    image = ax.imshow(means.reshape(rows, columns), cmap="viridis", aspect="auto")
    ax.figure.colorbar(image, ax=ax, label="mean return")
    low, high = np.nanmin(means), np.nanmax(means)
    for i, name in enumerate(evaluations):
        color = "black" if means[i] > (low + high) / 2 or low == high else "white"
        label = "\n".join(name.split(" ", 1)) if " " in name else name
        ax.text(i % columns, i // columns, f"{label}\n{means[i]:.1f}", ha="center", va="center", fontsize=6, color=color)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(title)
    return save_figure(figure_of(ax), path, dpi=150)


def ladder(
    results: Mapping[str, Json],
    path: str | os.PathLike[str] | None = None,
    title: str = "",
    ax: "Axes | None" = None,
) -> "Figure":
    """
    Draw the scores of a rollback against the layers in the encoder.

    :param results: what ``rollback`` returns
    :param path: path of the picture; its ending says the format, ``*.png`` for instance. ``None`` for no file
    :param title: title of the picture
    :param ax: axes to draw into; ``None`` for a new figure
    :return: the figure
    :raises ImportError: without matplotlib
    """
    if ax is None:
        ax = new_figure(5, 3.2).subplots()
    levels = [int(level) for level in results]
    for kind, style in (("sampled", "o-"), ("greedy", "o--")):
        means, deviations = ([row[kind][what] for row in results.values()] for what in ("mean", "std"))
        ax.errorbar(levels, means, deviations, fmt=style, capsize=3, label=kind)
    ax.invert_xaxis()
    ax.set_xticks(levels)
    ax.set(xlabel="layers in the encoder (0: full distillation)", ylabel="return of fresh learners", title=title)
    ax.legend()
    return save_figure(figure_of(ax), path, dpi=130)
