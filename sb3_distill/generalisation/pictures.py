"""
Pictures of reports (need matplotlib: ``pip install "sb3-distill[plots]"``).

As in ``report.pictures``: each function returns the ``Figure``, draws into the axes ``ax`` if there are any, and writes a file
if ``path`` says where.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sb3_distill.errors import ArgumentError
from sb3_distill.generalisation.bootstrap import Estimate, interval, resample
from sb3_distill.generalisation.comparison import compare
from sb3_distill.generalisation.metrics import COVERED, FAILED, PROFILE, profile
from sb3_distill.generalisation.report import GeneralisationReport
from sb3_distill.report.pictures import figure_of, new_figure, save_figure
from sb3_distill.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#3c7aca", "#ca7a3c", "#3caa6a", "#aa3c7a", "#7a6ac0", "#808080")
MARKERS = "osD^vP"
"""Colours and signs of the sets, which follow each other again where there are more."""


def dots(
    reports: Sequence[GeneralisationReport],
    grid: int = 0,
    path: str | os.PathLike[str] | None = None,
    ax: "Axes | None" = None,
) -> "Figure":
    """
    Draw the mean normalised return of each cell, the worst cell of the first set at the bottom, with intervals over learners.

    :param reports: reports on the same cells
    :param grid: 0 for the grid, 1 for the one held out
    :param path: path of the picture; its ending says the format, ``*.png`` for instance. ``None`` for no file
    :param ax: axes to draw into; ``None`` for a new figure
    :return: the figure
    :raises ImportError: without matplotlib
    """
    _check(reports)
    cells = [report.grids[grid].of_cells for report in reports]
    names = sorted(cells[0], key=lambda name: cells[0][name].value)
    if ax is None:
        ax = new_figure(8, 1.2 + 0.16 * len(names)).subplots()
    for i, (report, figures) in enumerate(zip(reports, cells, strict=True)):
        shift = (i - (len(reports) - 1) / 2) * 0.5 / len(reports)
        ax.errorbar(
            [figures[name].value for name in names], np.arange(len(names)) + shift,
            xerr=_bars([figures[name] for name in names]), fmt=MARKERS[i % len(MARKERS)], markersize=3, linewidth=0.8,
            color=COLORS[i % len(COLORS)], label=report.label,
        )  # fmt: skip
    for threshold in (FAILED, COVERED):
        ax.axvline(threshold, color="grey", linewidth=0.6, linestyle=":")
    ax.set_yticks(range(len(names)), names, fontsize=6)
    ax.set_ylim(-1, len(names))
    ax.set(xlabel="normalised return r (0: untaught, 1: reference)", title=f"cells of {reports[0].grids[grid].name}")
    ax.legend(fontsize=7)
    return save_figure(figure_of(ax), path, dpi=110)


def factor_bars(
    reports: Sequence[GeneralisationReport], path: str | os.PathLike[str] | None = None, ax: "Axes | None" = None
) -> "Figure":
    """
    Draw the mean normalised return of each level of each factor, with intervals over cells of the level and learners.

    :param reports: reports on the same cells
    :param path: path of the picture; its ending says the format, ``*.png`` for instance. ``None`` for no file
    :param ax: axes to draw into; ``None`` for a new figure
    :return: the figure; where no factor varies, with a sentence instead of bars
    :raises ImportError: without matplotlib
    """
    _check(reports)
    found = [report.sensitivity for report in reports]
    factors = [effect.factor for effect in found[0].effects]
    if ax is None:
        ax = new_figure(9, 3.4).subplots()
    ticks: dict[float, str] = {}
    for i, (report, one) in enumerate(zip(reports, found, strict=True)):
        at, figures, place = [], [], 0.0
        for effect in one.effects:
            middle = place + (len(effect.levels) - 1) / 2
            for level, mean in zip(effect.levels, effect.means, strict=True):
                ticks[place] = level
                at.append(place + (i - (len(reports) - 1) / 2) * 0.8 / len(reports))
                figures.append(mean)
                place += 1
            if i == 0:
                ax.text(middle, 1.02, effect.factor, ha="center", fontsize=8, transform=ax.get_xaxis_transform())
            place += 1
        heights = [figure.value for figure in figures]
        color = COLORS[i % len(COLORS)]
        ax.bar(at, heights, 0.8 / len(reports), yerr=_bars(figures), color=color, label=report.label, error_kw={"lw": 0.8})
    if factors:
        ax.set_xticks(list(ticks), list(ticks.values()), fontsize=7, rotation=45, ha="right")
        ax.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1))
    else:
        ax.set_axis_off()
    if found[0].note:
        ax.set_xlabel(found[0].note, fontsize=7)
        if not factors:
            ax.text(0.5, 0.5, found[0].note, ha="center", transform=ax.transAxes)
    ax.set_ylabel("mean r of the level")
    return save_figure(figure_of(ax), path, dpi=110)


def profiles(
    reports: Sequence[GeneralisationReport],
    grid: int = 0,
    path: str | os.PathLike[str] | None = None,
    ax: "Axes | None" = None,
) -> "Figure":
    """
    Draw the share of learners above each normalised return, with bands over cells and learners.

    :param reports: reports
    :param grid: 0 for the grid, 1 for the one held out
    :param path: path of the picture; its ending says the format, ``*.png`` for instance. ``None`` for no file
    :param ax: axes to draw into; ``None`` for a new figure
    :return: the figure
    :raises ImportError: without matplotlib
    """
    _check(reports)
    if ax is None:
        ax = new_figure(6, 3.4).subplots()
    for i, report in enumerate(reports):
        scores = report.grids[grid]
        bands = interval(profile(scores.r), resample(profile, scores.r, seed=scores.seed))
        color = COLORS[i % len(COLORS)]
        ax.plot(PROFILE, [band.value for band in bands], color=color, label=report.label)
        ax.fill_between(PROFILE, [band.low for band in bands], [band.high for band in bands], color=color, alpha=0.2, lw=0)
    ax.set(xlabel="normalised return", ylabel="share of learners above", ylim=(0, 1.02), title=reports[0].grids[grid].name)
    ax.legend(fontsize=7, loc="lower left")
    return save_figure(figure_of(ax), path, dpi=110)


def _check(reports: Sequence[GeneralisationReport]) -> None:
    if not reports:
        raise ArgumentError("`reports` is empty: a picture needs one report at least")
    compare(reports)


def _bars(figures: Sequence[Estimate]) -> Array:
    """Lengths of error bars below and above ``(2, n)``; the interval of a figure may lie beside it by rounding."""
    lengths = [(figure.value - figure.low, figure.high - figure.value) for figure in figures]
    return np.asarray(np.maximum(np.array(lengths).reshape(-1, 2).T, 0.0))
