"""Pictures of datasets (needs matplotlib: ``pip install "sb3-distill[plots]"``)."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.environments.atari.games import game_buttons
from sb3_distill.errors import MissingExtraError
from sb3_distill.evaluation.result import Evaluation


def show(dataset: SyntheticDataset | str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """
    Draw a dataset instance by instance, as in Figure 3 of Wilhelm & Ventura (2025): what is seen, and what to do.

    N-dimensional cart-pole is drawn as pole angles, images as strips of their channels (the frames of a stack, the latest one
    last) or in colour, any other observation as bars; a label as the softmax of its logits for discrete actions, as means
    otherwise.

    :param dataset: what to draw; also a path or the name of a shipped set
    :param path: of the PNG
    :raises ImportError: without matplotlib
    """
    plt = pyplot()
    dataset = SyntheticDataset.of(dataset)
    observations = dataset.encode()
    draw: Any = _draw_bars
    if isinstance(observations, dict):
        seen = np.concatenate(
            [value.detach().cpu().numpy().reshape(dataset.n_instances, -1) for value in observations.values()], 1
        )
    else:
        seen = observations.detach().cpu().numpy()
        draw = _draw_image if seen.ndim == 4 else _draw_bars
        seen = seen if seen.ndim == 4 else seen.reshape(dataset.n_instances, -1)
    labels = dataset.labels.detach().cpu().numpy()
    discrete = isinstance(dataset.info.action_space, spaces.Discrete)
    if discrete:
        labels = np.exp(labels - labels.max(axis=1, keepdims=True))
        labels /= labels.sum(axis=1, keepdims=True)
    if (dataset.info.env_id or "").startswith(("NDCartPole", "CartPole")):
        draw = _draw_poles
    n = min(dataset.n_instances, 64)
    columns, width = (2, 5.0) if draw is _draw_image else (min(n, 8), 2.2)
    rows = math.ceil(n / columns)
    size = (width * columns, 3.4 * rows)
    figure, axes = plt.subplots(2 * rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    for i in range(n):
        row, column = divmod(i, columns)
        top, bottom = axes[2 * row, column], axes[2 * row + 1, column]
        draw(top, seen[i])
        top.set_title(f"instance {i + 1}", fontsize=9)
        _draw_bars(bottom, labels[i])
        bottom.set_ylim(*((0, 1) if discrete else (labels.min(), labels.max())))
        bottom.set_title("softmax of the label" if discrete else "label", fontsize=8)
        if labels.shape[1] <= 20:
            names = _action_names(dataset, labels.shape[1])
            bottom.set_xticks(range(labels.shape[1]), names, fontsize=7, rotation=90 if max(map(len, names)) > 3 else 0)
    figure.savefig(path, dpi=110, bbox_inches="tight")  # the layout alone forgets tick labels beside images
    plt.close(figure)


def pyplot() -> Any:
    """
    :return: the module, set up to draw into files
    :raises ImportError: without matplotlib
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError('pictures need matplotlib: pip install "sb3-distill[plots]"') from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _action_names(dataset: SyntheticDataset, n: int) -> list[str]:
    if (dataset.info.env_id or "").startswith("NDCartPole"):
        return [f"{'+' if i % 2 else '-'}{'xyzuvwabcd'[i // 2] if n <= 20 else i // 2}" for i in range(n)]
    return game_buttons(dataset.info) or [str(i) for i in range(n)]


def heat_map(evaluations: Mapping[str, Evaluation], path: str | os.PathLike[str], title: str = "") -> None:
    """
    Draw the mean returns of the cells of a grid.

    :param evaluations: by name of the cell
    :param path: of the PNG
    :param title: of the picture
    :raises ImportError: without matplotlib
    """
    plt = pyplot()
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


def ladder(results: Mapping[str, Mapping[str, Any]], path: str | os.PathLike[str], title: str = "") -> None:
    """
    Draw the scores of a rollback against the layers in the encoder.

    :param results: of ``rollback``
    :param path: of the PNG
    :param title: of the picture
    :raises ImportError: without matplotlib
    """
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(5, 3.2), layout="constrained")
    levels = [int(level) for level in results]
    for kind, style in (("sampled", "o-"), ("greedy", "o--")):
        means, deviations = ([row[kind][what] for row in results.values()] for what in ("mean", "std"))
        axis.errorbar(levels, means, deviations, fmt=style, capsize=3, label=kind)
    axis.invert_xaxis()
    axis.set_xticks(levels)
    axis.set(xlabel="layers in the encoder (0: full distillation)", ylabel="return of fresh learners", title=title)
    axis.legend()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
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


def _draw_image(axis: Any, image: Any) -> None:
    # Synthetic pixels are not bound to what a screen can show.
    low, high = image.min(), image.max()
    image = (image - low) / (high - low if high > low else 1)
    if len(image) == 3:
        axis.imshow(image.transpose(1, 2, 0))
    else:
        axis.imshow(np.concatenate(list(image), axis=1), cmap="gray", vmin=0, vmax=1)
        for i in range(1, len(image)):
            axis.axvline(i * image.shape[2] - 0.5, color="white", linewidth=1)


def _draw_bars(axis: Any, values: Any) -> None:
    axis.set_axis_on()
    axis.bar(range(len(values)), values, color="#3c7aca")
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
