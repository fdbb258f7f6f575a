"""Drawings of the instances of a dataset: panels for a few, heat maps for many."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from gymnasium import spaces

from sb3_distill import trees
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.environments.atari.games import game_buttons
from sb3_distill.typing import Array, Observations

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Draw: TypeAlias = "Callable[[Axes, Array], None]"
"""Draws the observation of one instance."""
MOST_TICKS = 24
"""Largest number of labelled rows or columns of a heat map."""
GAP = 0.04
"""Room between panels, as a part of the room of one."""


def rows_of(observations: Observations) -> Array:
    """Images as they are ``(k, channels, height, width)``, anything else as vectors ``(k, d)``."""
    leaves = [value.detach().cpu().numpy() for value in trees.leaves(observations)]
    if len(leaves) == 1 and leaves[0].ndim == 4 and not isinstance(observations, Mapping):
        return leaves[0]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def drawn_labels(dataset: SyntheticDataset) -> tuple[Array, tuple[float, float], str]:
    """The height of each bar ``(k, width)``, the lower and upper limit of all, and what they are."""
    labels = dataset.labels.detach().cpu().numpy()
    if not isinstance(dataset.info.action_space, spaces.Discrete):
        return labels, (labels.min(), labels.max()), "label"
    softmax = np.exp(labels - labels.max(axis=1, keepdims=True))
    return softmax / softmax.sum(axis=1, keepdims=True), (0.0, 1.0), "softmax of the label"


def names_of_actions(dataset: SyntheticDataset) -> list[str]:
    """A short name for each output."""
    n = dataset.labels.shape[1]
    if (dataset.info.env_id or "").startswith("NDCartPole"):
        return [f"{'+' if i % 2 else '-'}{'xyzuvwabcd'[i // 2]}" for i in range(n)]
    return list(game_buttons(dataset.info) or [str(i) for i in range(n)])


def draw_panels(ax: "Axes", dataset: SyntheticDataset, observations: Array) -> None:
    """
    A panel for each instance: its observation above its label.

    :param ax: axes that the panels fill
    :param dataset: dataset
    :param observations: its observations, see ``rows_of``
    """
    ax.set_axis_off()
    draw = _drawing_of(dataset, observations)
    labels, limits, kind = drawn_labels(dataset)
    names = names_of_actions(dataset)
    rows, columns = panel_grid(dataset, observations)
    for i in range(len(observations)):
        row, column = divmod(i, columns)
        left, low = (column + GAP) / columns, 1 - (row + 1) / rows
        width = (1 - 3 * GAP) / columns
        top = ax.inset_axes((left, low + 0.53 / rows, width, 0.39 / rows))
        bottom = ax.inset_axes((left, low + 0.16 / rows, width, 0.26 / rows))
        top.set_axis_off()
        draw(top, observations[i])
        top.set_title(f"instance {i + 1}", fontsize=9)
        _draw_bars(bottom, labels[i])
        bottom.set_ylim(*limits)
        bottom.set_title(kind, fontsize=8)
        _ticks(bottom, names, 20)


def panel_grid(dataset: SyntheticDataset, observations: Array) -> tuple[int, int]:
    """Rows and columns of panels."""
    columns = 2 if observations.ndim == 4 else min(len(observations), 8)
    return math.ceil(len(observations) / columns), columns


def draw_heat_map(ax: "Axes", dataset: SyntheticDataset, observations: Array) -> None:
    """
    One row for each instance: the numbers of its observation at the left, its label at the right. Images are tiles instead,
    the latest channel of each.

    :param ax: axes that the two maps fill
    :param dataset: dataset
    :param observations: its observations, see ``rows_of``
    """
    ax.set_axis_off()
    left, right = ax.inset_axes((0, 0, 0.56, 1)), ax.inset_axes((0.76, 0, 0.2, 1))
    if observations.ndim == 4:
        _draw_tiles(left, observations)
    else:
        bound = float(np.abs(observations).max()) or 1.0
        _draw_matrix(left, observations, (-bound, bound), "RdBu_r", "observation, as the network sees it")
        _ticks(left, [str(i) for i in range(observations.shape[1])], MOST_TICKS)
    labels, limits, kind = drawn_labels(dataset)
    _draw_matrix(right, labels[: len(observations)], limits, "viridis", kind)
    _ticks(right, names_of_actions(dataset), MOST_TICKS)


def _drawing_of(dataset: SyntheticDataset, observations: Array) -> Draw:
    if (dataset.info.env_id or "").startswith(("NDCartPole", "CartPole")):
        return _draw_poles
    return _draw_image if observations.ndim == 4 else _draw_bars


def _draw_matrix(ax: "Axes", values: Array, limits: tuple[float, float], cmap: str, title: str) -> None:
    """Values ``(k, width)``, with numbered rows and a scale of colours."""
    image = ax.imshow(values, cmap=cmap, vmin=limits[0], vmax=limits[1], aspect="auto", interpolation="nearest")
    ax.set_title(title, fontsize=9)
    ax.set_ylabel("instance", fontsize=8)
    step = math.ceil(len(values) / MOST_TICKS)
    ax.set_yticks(range(0, len(values), step), [str(i + 1) for i in range(0, len(values), step)], fontsize=7)
    scale = ax.inset_axes((1.02, 0, 0.04, 1))
    ax.figure.colorbar(image, cax=scale).ax.tick_params(labelsize=7)


def _draw_tiles(ax: "Axes", images: Array) -> None:
    """Images ``(k, channels, height, width)`` side by side, with numbers: colours, or the latest one of stacked frames."""
    k, channels, height, width = images.shape
    columns = math.ceil(math.sqrt(k))
    rows = math.ceil(k / columns)
    depth = 3 if channels == 3 else 1
    tiles = np.ones((rows * height, columns * width, depth), np.float32)
    for i, image in enumerate(images[:, -depth:]):
        row, column = divmod(i, columns)
        tiles[row * height : (row + 1) * height, column * width : (column + 1) * width] = _stretched(image).transpose(1, 2, 0)
        ax.text(column * width + 1, row * height + 1, str(i + 1), fontsize=6, color="red", va="top")
    ax.imshow(tiles if depth == 3 else tiles[:, :, 0], cmap="gray", vmin=0, vmax=1)
    ax.set_title("observation, as the network sees it" + ("" if channels in (1, 3) else ": its last channel"), fontsize=9)
    ax.set_xticks([])
    ax.set_yticks([])


def _ticks(ax: "Axes", names: Sequence[str], most: int) -> None:
    """Names of columns; some of them where there is no room for all."""
    step = math.ceil(len(names) / most)
    shown = range(0, len(names), step)
    rotation = 90 if max(map(len, names)) > 3 or len(shown) > 12 else 0
    ax.set_xticks(shown, [names[i] for i in shown], fontsize=7, rotation=rotation)


def _draw_poles(ax: "Axes", observation: Array) -> None:
    # Synthetic angles are not bound to what a pole can do; the arctangent keeps the order and fits the page.
    angles = observation.reshape(-1, 4)[:, 2]
    for i, angle in enumerate(angles):
        lean = math.atan(angle)
        ax.plot([i, i + 0.45 * math.sin(lean)], [0, math.cos(lean)], linewidth=4, solid_capstyle="round", color="#ca7a3c")
        ax.plot([i - 0.15, i + 0.15], [0, 0], linewidth=7, color="black", solid_capstyle="butt")
        ax.text(i, -0.25, f"{angle:+.2f}", ha="center", va="top", fontsize=7)
    ax.set_xlim(-0.6, len(angles) - 0.4)
    ax.set_ylim(-0.6, 1.15)
    ax.set_aspect("equal")


def _draw_image(ax: "Axes", image: Array) -> None:
    image = _stretched(image)
    if len(image) == 3:
        ax.imshow(image.transpose(1, 2, 0))
    else:
        ax.imshow(np.concatenate(list(image), axis=1), cmap="gray", vmin=0, vmax=1)
        for i in range(1, len(image)):
            ax.axvline(i * image.shape[2] - 0.5, color="white", linewidth=1)


def _stretched(image: Array) -> Array:
    """An image between 0 and 1. Synthetic pixels are not bound to what a screen can show."""
    low, high = image.min(), image.max()
    return np.asarray((image - low) / (high - low if high > low else 1))


def _draw_bars(ax: "Axes", values: Array) -> None:
    ax.set_axis_on()
    ax.bar(range(len(values)), values, color="#3c7aca")
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
