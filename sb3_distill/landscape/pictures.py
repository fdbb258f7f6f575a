"""
Pictures of landscapes (need matplotlib: ``pip install "sb3-distill[plots]"``).

As in ``report.pictures``: each function returns the ``Figure``, draws into the axes ``ax`` if there are any, and writes a file
if ``path`` says where.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sb3_distill.landscape.landscape import Landscape
from sb3_distill.landscape.maths.planes import Plane
from sb3_distill.landscape.names import INITIAL, RL, TAUGHT
from sb3_distill.landscape.report import TITLES, LandscapeReport
from sb3_distill.landscape.result import RETURN, Barrier, Ray, Surface
from sb3_distill.report.pictures import figure_of, new_figure, save_figure
from sb3_distill.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {INITIAL: "white", TAUGHT: "#ff9d3c", RL: "#ff3c9d"}
SIGNS = {INITIAL: "o", TAUGHT: "^", RL: "s"}
"""Colours and signs of the networks; the best point of a plane is a cross."""
UNSURE = 0.1
"""Standard error, as a share of the range of returns, above which a point is hatched."""
WINDOW = (-1.25, 1.25)
"""Coordinates of a plane that was moved to another centre."""
N_LEVELS = 17
"""Contours of a surface."""


def draw_surface(
    surface: Surface,
    path: str | os.PathLike[str] | None = None,
    ax: "Axes | None" = None,
    limits: tuple[float, float] | None = None,
) -> "Figure":
    """
    Draw contours of an objective. Losses are drawn as logarithms, with their minimum as a cross; of returns the cross is the
    maximum. Points that diverged are white, and those whose standard error is a tenth of the range or more are hatched.

    :param surface: a surface
    :param path: path of the picture; its ending says the format, ``*.png`` for instance. ``None`` for no file
    :param ax: axes to draw into; ``None`` for a new figure
    :param limits: ends of the colours; ``None`` for those of the surface
    :return: the figure
    :raises ImportError: without matplotlib
    """
    if ax is None:
        ax = new_figure(4.6, 3.8).subplots()
    values = _shown(surface)
    low, high = _limits([surface]) if limits is None else limits
    levels = np.linspace(low, max(high, low + 1e-9), N_LEVELS)
    a, b = surface.plane.axes(len(surface.values))
    colors = "viridis" if surface.objective == RETURN else "viridis_r"
    drawn = ax.contourf(a, b, np.ma.masked_invalid(values), levels, cmap=colors, extend="both")
    ax.figure.colorbar(
        drawn, ax=ax, format="%.3g", label="return" if surface.objective == RETURN else f"log10 {surface.objective}"
    )
    if surface.standard_errors is not None and (unsure := surface.standard_errors > UNSURE * (high - low)).any():
        ax.contourf(a, b, unsure.astype(float), [0.5, 1.5], colors="none", hatches=["...."])
    for name, (x, y) in surface.markers.items():
        if a[0] <= x <= a[-1] and b[0] <= y <= b[-1]:
            ax.plot(x, y, SIGNS[name], color=COLORS[name], markeredgecolor="black", markersize=6, label=name)
    ax.plot(*surface.best, "x", color="black", label="highest" if surface.objective == RETURN else "least")
    ax.set_title(surface.plane.name, fontsize=9)
    return save_figure(figure_of(ax), path, dpi=110)


def two_by_two(
    landscape: Landscape,
    size: int = 21,
    n_episodes: int = 16,
    plane: int = 0,
    path: str | os.PathLike[str] | None = None,
) -> "Figure":
    """
    Draw the real and the distilled objective on one plane, once around the RL-trained network (above) and once around the
    taught one (below): the same directions, and one scale for each objective. Without RL, the taught one alone.

    :param landscape: a landscape
    :param size: number of points along each side
    :param n_episodes: number of episodes of each point
    :param plane: index of one of its planes
    :param path: path of the picture; its ending says the format, ``*.png`` for instance. ``None`` for no file
    :return: the figure
    :raises ImportError: without matplotlib
    :raises ValueError: for a size below 3
    """
    centres = [name for name in (RL, TAUGHT) if name in landscape.points]
    losses = landscape.losses_of_the_set
    figure = new_figure(4.4 * (1 + len(losses)), 3.5 * len(centres))
    all_axes = figure.subplots(len(centres), 1 + len(losses), squeeze=False)
    for column, objective in enumerate((RETURN, *losses)):
        surfaces = [
            landscape.surface(objective, _moved(landscape, plane, name), size, n_episodes)  # type: ignore[arg-type]
            for name in centres
        ]
        limits = _limits(surfaces)
        for axes, surface in zip(all_axes[:, column], surfaces, strict=True):
            draw_surface(surface, ax=axes, limits=limits)
    all_axes[0, 0].legend(fontsize=7, loc="lower left")
    return save_figure(figure, path, dpi=110)


def draw_ray(ray: Ray, path: str | os.PathLike[str] | None = None, ax: "Axes | None" = None) -> "Figure":
    """
    Draw return and distilled losses along the step of a learner, with an axis for each; the vertical line is the taught
    network. Losses are drawn over their largest value.

    :param ray: a ray
    :param path: path of the picture; its ending says the format, ``*.png`` for instance. ``None`` for no file
    :param ax: axes to draw into; ``None`` for a new figure
    :return: the figure
    :raises ImportError: without matplotlib
    """
    if ax is None:
        ax = new_figure(5.2, 3.4).subplots()
    means = ray.returns.mean(axis=1)
    errors = ray.returns.std(axis=1) / np.sqrt(ray.returns.shape[1])
    ax.errorbar(ray.alphas, means, errors, color="#3c7aca", marker="o", markersize=3, label="return")
    ax.axvline(1, color="grey", linewidth=0.8, linestyle=":")
    other = ax.twinx()
    for (name, values), style in zip(ray.losses.items(), ("-", "--"), strict=False):
        other.plot(ray.alphas, values / np.nanmax(values), style, color="#ca7a3c", label=name)
    ax.set(xlabel="place along the step (0: initial, 1: taught)", ylabel="return")
    other.set_ylabel("distilled loss over its largest value")
    lines = [*ax.get_legend_handles_labels()[0], *other.get_legend_handles_labels()[0]]
    ax.legend(lines, ["return", *ray.losses], fontsize=7)
    return save_figure(figure_of(ax), path, dpi=110)


def draw_barriers(
    barriers: Sequence[Barrier], path: str | os.PathLike[str] | None = None, ax: "Axes | None" = None
) -> "Figure":
    """
    Draw returns on straight lines between networks.

    :param barriers: lines
    :param path: path of the picture; its ending says the format, ``*.png`` for instance. ``None`` for no file
    :param ax: axes to draw into; ``None`` for a new figure
    :return: the figure
    :raises ImportError: without matplotlib
    """
    if ax is None:
        ax = new_figure(5.2, 3.4).subplots()
    for one in barriers:
        means = one.returns.mean(axis=1)
        label = f"{one.start} - {one.end}{', matched' if one.matched else ''}: {one.height:.2f}"
        ax.plot(np.linspace(0, 1, len(means)), means, marker="o", markersize=3, label=label)
    ax.set(xlabel="place on the line", ylabel="return")
    ax.legend(fontsize=7, title="barrier", title_fontsize=7)
    return save_figure(figure_of(ax), path, dpi=110)


def draw_report(report: LandscapeReport, path: str | os.PathLike[str] | None = None, ax: "Axes | None" = None) -> "Figure":
    """
    Draw the figures that have controls, with intervals over seeds: a bar for the set, signs for its controls.

    :param report: a report
    :param path: path of the picture; its ending says the format, ``*.png`` for instance. ``None`` for no file
    :param ax: axes to draw into; ``None`` for a new figure
    :return: the figure
    :raises ImportError: without matplotlib
    """
    names = [name for name in report.names if TITLES[name].sign and report.controls(name)][::-1]
    if ax is None:
        ax = new_figure(9, 1.0 + 0.4 * len(names)).subplots()
    signs: dict[str, str] = {}
    for row, name in enumerate(names):
        figure = report.estimate(name)
        bars = np.maximum([[figure.value - figure.low], [figure.high - figure.value]], 0)
        ax.barh(row, figure.value, 0.6, xerr=bars, color="#3c7aca", alpha=0.5)
        for control in report.controls(name):
            sign = signs.setdefault(control, "osD^vPX*"[len(signs) % 8])
            ax.plot(report.estimate(name, control).value, row, sign, color="#ca7a3c", markersize=4)
    for control, sign in signs.items():
        ax.plot([], [], sign, color="#ca7a3c", label=control)
    ax.set_yticks(range(len(names)), [_broken(TITLES[name].text) for name in names], fontsize=7)
    ax.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1))
    ax.set_title(f"{report.name}, {len(report.seeds)} seeds", fontsize=9)
    return save_figure(figure_of(ax), path, dpi=110)


def _moved(landscape: Landscape, plane: int, name: str) -> Plane:
    """A plane of the same directions around a network."""
    return replace(landscape.planes[plane], name=f"around {name}", centre=landscape.points[name], a=WINDOW, b=WINDOW)


def _shown(surface: Surface) -> Array:
    """Returns as they are, losses as logarithms."""
    if surface.objective in (RETURN, "surrogate"):
        return surface.values
    return np.asarray(np.log10(np.maximum(surface.values, 1e-6)))


def _limits(surfaces: Sequence[Surface]) -> tuple[float, float]:
    """One scale for all."""
    values = np.concatenate([_shown(surface).ravel() for surface in surfaces])
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)


def _broken(text: str) -> str:
    words, half = text.split(), len(text.split()) // 2
    return f"{' '.join(words[:half])}\n{' '.join(words[half:])}" if len(text) > 40 else text
