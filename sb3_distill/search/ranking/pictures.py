"""
Pictures of a search (need matplotlib: ``pip install "sb3-distill[plots]"``).

As in ``report.pictures``: each function returns the ``Figure``, and writes a file if ``path`` says where.
"""

import math
import os
from typing import TYPE_CHECKING

import numpy as np

from sb3_distill.errors import ArgumentError
from sb3_distill.report.pictures import figure_of, new_figure, save_figure
from sb3_distill.search.ranking.correlation import means_of
from sb3_distill.search.ranking.result import SearchResult
from sb3_distill.search.ranking.stored import TRUTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
"""Panels beside each other."""


def truth_and_scores(result: SearchResult, path: str | os.PathLike[str] | None = None) -> "Figure":
    """
    Draw the true mean return of each architecture against each score, a panel for each, with the standard deviation over seeds
    of the truth. The pick of the score is ringed.

    :param result: result with a truth
    :param path: path of the picture; its ending says the format, ``*.png`` for instance. ``None`` for no file
    :return: the figure
    :raises ImportError: without matplotlib
    :raises ValueError: without a truth, or without a score
    """
    if result.truth is None or not result.scores:
        raise ArgumentError("a picture of truth and scores needs a truth and a score: pass both to `SearchResult`")
    n_rows, n_columns = math.ceil(len(result.scores) / COLUMNS), min(len(result.scores), COLUMNS)
    figure = new_figure(2.9 * n_columns + 0.3, 2.7 * n_rows + 0.2)
    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True).ravel()
    true = means_of(result.truth, "returns")
    deviations = result.truth.reshape(len(true), -1).std(axis=1)
    for ax, name in zip(panels, result.scores, strict=False):
        mask = result.scored(name)
        if not mask.any():
            ax.set_title(name, fontsize=8)
            continue
        scores = means_of(result.scores[name][mask])
        ax.errorbar(scores, true[mask], deviations[mask], fmt="o", markersize=3, linewidth=0.6, color="#3c7aca")
        first = scores == scores.max()
        ax.plot(scores[first], true[mask][first], "o", markersize=9, fillstyle="none", color="#ca7a3c")
        tau = result.agreements[name].tau_b
        ax.set_title(name if math.isnan(tau.value) else f"{name}\ntau-b {tau.value:.2f}", fontsize=8)
        ax.set_xlabel("score", fontsize=7)
        ax.tick_params(labelsize=7)
        ax.locator_params(axis="x", nbins=5)
    for ax in panels[len(result.scores) :]:
        ax.set_axis_off()
    for ax in panels[::n_columns]:
        ax.set_ylabel("true mean return", fontsize=7)
    return save_figure(figure, path, dpi=130)


def cost_and_agreement(result: SearchResult, path: str | os.PathLike[str] | None = None, ax: "Axes | None" = None) -> "Figure":
    """
    Draw tau-b with its interval against the seconds of an architecture. Fixed costs are not in it. Level lines say how the
    truth agrees with itself, see ``ceiling.NoiseCeiling``.

    :param result: result with a truth and costs
    :param path: path of the picture; its ending says the format, ``*.png`` for instance. ``None`` for no file
    :param ax: axes to draw into; ``None`` for a new figure
    :return: the figure
    :raises ImportError: without matplotlib
    :raises ValueError: if no score has both a cost and a tau-b
    """
    found = {
        name: one.tau_b for name, one in result.agreements.items() if name in result.costs and math.isfinite(one.tau_b.value)
    }
    if not found:
        raise ArgumentError("a picture of costs needs a score with both a cost and a tau-b: pass `truth` and `costs`")
    if ax is None:
        ax = new_figure(6, 4).subplots()
    for i, (name, tau) in enumerate(found.items()):
        seconds = result.costs[name].per_candidate
        ends = np.maximum([[tau.value - tau.low], [tau.high - tau.value]], 0.0)
        ax.errorbar([seconds], [tau.value], ends, fmt="o", capsize=2, linewidth=0.8, color=f"C{i % 10}")
        ax.annotate(name, (seconds, tau.value), xytext=(5, 3), textcoords="offset points", fontsize=7)
    ceiling = result.ceiling
    for what, estimate, style in (
        ("one seed of the truth against another", ceiling and ceiling.single, ":"),
        ("halves of its seeds", ceiling and ceiling.halves, "--"),
        ("returns without noise, if normal", ceiling and ceiling.noiseless, "-."),
    ):
        if estimate is not None and math.isfinite(estimate.value):
            ax.axhline(estimate.value, color="grey", linewidth=0.8, linestyle=style, label=what)
    if TRUTH in result.costs:
        ax.axvline(result.costs[TRUTH].per_candidate, color="grey", linewidth=0.8, label="seconds of the truth")
    ax.set_xscale("symlog", linthresh=1e-4)
    ax.set(xlabel="seconds of an architecture (median)", ylabel="tau-b with the truth")
    if ax.get_legend_handles_labels()[1]:
        ax.legend(fontsize=7)
    return save_figure(figure_of(ax), path, dpi=130)
