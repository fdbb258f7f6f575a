"""
How a score of architectures agrees with the truth: pure functions of arrays.

The truth is a matrix of returns ``(n_architectures, n_seeds)``, or a vector for one seed. A score is a vector
``(n_architectures,)``, or a matrix whose mean over seeds is taken. More is better in both. Fewer than ``FEWEST`` architectures
give a warning and NaN: a correlation of so few says nothing.
"""

import math

import numpy as np

from sb3_distill.arguments import whole
from sb3_distill.errors import ArgumentError, NotFiniteError, warn
from sb3_distill.evaluation.result import Returns
from sb3_distill.generalisation.metrics import rank_preservation
from sb3_distill.typing import Array

FEWEST = 10
"""Smallest number of architectures that have a correlation."""


def means_of(values: Array, what: str = "scores") -> Returns:
    """
    :param values: ``(n_architectures, n_seeds)`` or ``(n_architectures,)``
    :param what: what they are, for the message
    :return: mean of each architecture over its seeds ``(n_architectures,)``
    :raises ValueError: for another shape, or no seed
    :raises FloatingPointError: if one is NaN or infinite
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim not in (1, 2) or (values.ndim == 2 and not values.shape[1]):
        raise ArgumentError(
            f"{what} must be (n_architectures,) or (n_architectures, n_seeds), one seed at least, got shape {values.shape}"
        )
    if not np.isfinite(values).all():
        raise NotFiniteError(
            f"{np.count_nonzero(~np.isfinite(values))} of {values.size} {what} are NaN or infinite: leave out the "
            "architectures that have none"
        )
    means: Returns = values.mean(axis=1) if values.ndim == 2 else values
    return means


def paired_means(truth: Array, score: Array) -> tuple[Returns, Returns]:
    """
    :param truth: returns, see the module
    :param score: scores, see the module
    :return: means of both ``(n_architectures,)``
    :raises ValueError: see ``means_of``, and if they differ in the number of architectures
    :raises FloatingPointError: see ``means_of``
    """
    true, scored = means_of(truth, "returns"), means_of(score)
    if len(true) != len(scored):
        raise ArgumentError(
            f"truth and score must be of the same architectures, got {len(true)} and {len(scored)} of them: choose the rows "
            "that both have"
        )
    return true, scored


def enough(n: int, what: str = "a correlation") -> bool:
    """
    :param n: number of architectures
    :param what: what needs them, for the warning
    :return: whether they are ``FEWEST`` or more; a warning says that they are not
    """
    if n < FEWEST:
        warn(f"{n} architectures are too few for {what}: there is no number, {FEWEST} are needed at least")
    return n >= FEWEST


def tau_b(truth: Array, score: Array) -> float:
    """
    Kendall's tau-b, ``(C - D) / sqrt((C + D + T) (C + D + T'))``: ``C`` concordant and ``D`` discordant pairs, and ``T`` and
    ``T'`` those that are tied in one order alone (Kendall 1945).

    :param truth: returns, see the module
    :param score: scores, see the module
    :return: from -1 to 1; NaN if there are too few architectures, or all are equal in one order
    :raises ValueError: see ``paired_means``
    """
    true, scored = paired_means(truth, score)
    if not enough(len(true)):
        return math.nan
    tau = rank_preservation(scored, true).tau
    return math.nan if tau is None else tau


def spearman(truth: Array, score: Array) -> float:
    """
    Spearman's rank correlation: Pearson's correlation of ranks, of which ties have the mean.

    :param truth: returns, see the module
    :param score: scores, see the module
    :return: from -1 to 1; NaN if there are too few architectures, or all are equal in one order
    :raises ValueError: see ``paired_means``
    """
    true, scored = paired_means(truth, score)
    if not enough(len(true)) or np.ptp(true) == 0 or np.ptp(scored) == 0:
        return math.nan
    from scipy import stats  # takes seconds to import: only where it is used

    return float(stats.spearmanr(true, scored).statistic)


def top_membership(values: Array, k: int) -> Returns:
    """
    :param values: scores ``(n,)``
    :param k: size of the top
    :return: probability of each to be among the ``k`` best, if ties are broken at random ``(n,)``
    """
    above = (values[None] > values[:, None]).sum(axis=1)
    tied = (values[None] == values[:, None]).sum(axis=1)
    share: Returns = np.clip((k - above) / tied, 0.0, 1.0)
    return share


def top_overlap(truth: Array, score: Array, k: int) -> float:
    """
    Share of the score's ``k`` best architectures that are among the truth's. With ties in either order it is the mean over all
    ways to break them. Chance gives ``k / n_architectures``.

    :param truth: returns, see the module
    :param score: scores, see the module
    :param k: size of the top, from 1 to the number of architectures
    :return: from 0 to 1; NaN if there are too few architectures
    :raises ValueError: see ``paired_means``, and for another ``k``
    """
    true, scored = paired_means(truth, score)
    if not enough(len(true)):
        return math.nan
    k = whole("k", k, 1, len(true), "the number of architectures")
    return float(top_membership(true, k) @ top_membership(scored, k) / k)


def pick_return(truth: Array, score: Array) -> float:
    """
    True mean return of the score's pick, which is the architecture that it ranks first; the mean over those that share the
    first place. It is biased upwards for a score that the truth has entered: confirm a pick with new seeds.

    :param truth: returns, see the module
    :param score: scores, see the module
    :return: a return, in its own unit; NaN if there are too few architectures
    :raises ValueError: see ``paired_means``
    """
    true, scored = paired_means(truth, score)
    return float(true[scored == scored.max()].mean()) if enough(len(true)) else math.nan


def regret(truth: Array, score: Array) -> float:
    """
    Normalised regret of the score's pick, ``(best - pick) / (best - median)`` of true mean returns: 0 for the best
    architecture, 1 for one as good as the median, above 1 for a worse one.

    The median is the other end and not the worst architecture, since one that learns nothing would make any pick look good.

    :param truth: returns, see the module
    :param score: scores, see the module
    :return: 0 or more; NaN if there are too few architectures, or half of them are as good as the best
    :raises ValueError: see ``paired_means``
    """
    true, scored = paired_means(truth, score)
    if not enough(len(true)):
        return math.nan
    pick, best, median = true[scored == scored.max()].mean(), true.max(), np.median(true)
    return float((best - pick) / (best - median)) if best > median else math.nan


def n_tied_pairs(score: Array) -> int:
    """
    :param score: scores, see the module
    :return: number of pairs of architectures with the same score, of ``n (n - 1) / 2``; read it with every correlation
    :raises ValueError: see ``means_of``
    """
    _, sizes = np.unique(means_of(score), return_counts=True)
    return int((sizes * (sizes - 1) // 2).sum())
