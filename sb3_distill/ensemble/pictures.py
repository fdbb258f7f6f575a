"""The picture of an evaluation of ensembles (needs matplotlib: ``pip install "sb3-distill[plots]"``)."""

import os
from typing import TYPE_CHECKING

from sb3_distill.ensemble.result import ARBITRARY, ELITE, EnsembleEvaluation
from sb3_distill.report.pictures import figure_of, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#3c7aca", "#ca7a3c", "#3caa6a", "#aa3c7a", "#7a6ac0", "#808080")
"""Colours of the rules, which follow each other again where there are more."""
STYLES = {ARBITRARY: "-", ELITE: "--"}


def return_against_size(
    evaluation: EnsembleEvaluation,
    kind: str | None = None,
    path: str | os.PathLike[str] | None = None,
    ax: "Axes | None" = None,
) -> "Figure":
    """
    Draw the return of ensembles against their size, with bands of 95 %: a line for each rule, a broken one for elites. The
    grey band is the best member of the selection episodes, the dotted line the mean member.

    :param evaluation: result of ``evaluate_ensemble``
    :param kind: kind of actions, ``"greedy"`` or ``"sampled"``; ``None`` for each in axes of its own, or for the only one in
        ``ax``
    :param path: path of the picture; its ending says the format, ``*.png`` for instance. ``None`` for no file
    :param ax: axes to draw into; ``None`` for a new figure
    :return: the figure
    :raises ImportError: without matplotlib
    """
    kinds = evaluation.kinds if kind is None else [kind]
    if ax is None:
        all_axes = new_figure(4.6 * len(kinds), 3.6).subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    else:
        all_axes, kinds = [ax], kinds[:1]
    for axes, one in zip(all_axes, kinds, strict=True):
        _draw(evaluation, one, axes)
    all_axes[0].set_ylabel("return")
    all_axes[0].legend(fontsize=7)
    return save_figure(figure_of(all_axes[0]), path, dpi=110)


def _draw(evaluation: EnsembleEvaluation, kind: str, ax: "Axes") -> None:
    contests = [contest for contest in evaluation.ensembles if contest.kind == kind]
    rules = list(dict.fromkeys(contest.rule for contest in contests))
    for index, rule in enumerate(rules):
        color = COLORS[index % len(COLORS)]
        for choice, style in STYLES.items():
            line = [contest for contest in contests if contest.rule == rule and contest.choice == choice]
            if not line:
                continue
            sizes, figures = [contest.size for contest in line], [evaluation.mean(contest) for contest in line]
            label = rule if choice == ARBITRARY else f"{rule}, elite"
            ax.plot(sizes, [figure.value for figure in figures], style, marker="o", markersize=3, color=color, label=label)
            low, high = [figure.low for figure in figures], [figure.high for figure in figures]
            ax.fill_between(sizes, low, high, color=color, alpha=0.15, lw=0)
    best = evaluation.best_member(kind)
    ax.axhspan(best.low, best.high, color="grey", alpha=0.2, lw=0)
    ax.axhline(best.value, color="grey", linewidth=0.8, label="best member")
    ax.axhline(evaluation.members(kind).value, color="grey", linewidth=0.8, linestyle=":", label="mean member")
    ax.set_xscale("log")
    sizes = sorted({contest.size for contest in contests})
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    ax.set(xlabel="members", title=f"{evaluation.name}, {kind}")
