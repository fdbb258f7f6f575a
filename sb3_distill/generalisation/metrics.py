"""
How well a dataset serves learners that it was not made for: pure functions of a matrix of scores.

A matrix has the shape that rliable's have (Agarwal et al., *Deep RL at the Edge of the Statistical Precipice*, 2021): a row
for each learner, a column for each cell of a grid. An entry is the mean return of one learner, or that return normalised,
``r``. All functions of ``(..., n_learners, n_cells)`` take leading axes, which is what a bootstrap needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np

from sb3_distill.errors import ArgumentError, NotFiniteError
from sb3_distill.evaluation.result import Returns
from sb3_distill.typing import Array, Json

COVERED = 0.95
"""Normalised return from which a cell counts as covered."""
FAILED = 0.2
"""Normalised return below which a cell, or a learner, counts as failed."""
WORST_SHARE = 0.1
"""Share of the cells whose mean ``cvar`` is."""
PROFILE = np.linspace(0.0, 1.0, 101)
"""Normalised returns at which a performance profile is drawn."""
Metric: TypeAlias = Callable[[Returns], Array]
"""From scores ``(..., n_learners, n_cells)`` to a figure ``(...)``, or to several ``(..., n)``."""


def checked_scores(scores: Array) -> Returns:
    """
    :param scores: ``(n_learners, n_cells)``
    :return: the same in double precision
    :raises ValueError: for another shape, or no entries
    :raises FloatingPointError: if one is NaN or infinite
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or not scores.size:
        raise ArgumentError(f"scores must be (n_learners, n_cells), with one of each at least, got shape {scores.shape}")
    if not np.isfinite(scores).all():
        raise NotFiniteError(f"{np.count_nonzero(~np.isfinite(scores))} of {scores.size} scores are NaN or infinite")
    return scores


def normalised(returns: Array, untaught: float | Array, reference: float) -> Returns:
    """
    ``r = (R - U) / (V - U)``: 0 is what untaught learners reach, 1 the reference. It is not clipped.

    :param returns: mean returns ``R`` ``(n_learners, n_cells)``
    :param untaught: return ``U`` of learners that nothing taught: of the task, or of each cell ``(n_cells,)``
    :param reference: return ``V`` that counts as perfect
    :return: ``r`` ``(n_learners, n_cells)``
    :raises ValueError: if the reference is not finite, or not above every untaught return
    """
    highest = float(np.max(untaught))
    if not highest < reference < np.inf:
        raise ArgumentError(
            f"the reference return {reference:g} must be finite and above the untaught one, {highest:g}: pass another one"
        )
    return checked_scores((checked_scores(returns) - untaught) / (reference - np.asarray(untaught)))


def transfer(scores: Returns) -> Array:
    """The mean of all scores; on learners that the set was made for, the in-distribution return."""
    return np.asarray(scores.mean(axis=(-2, -1)))


def cell_means(scores: Returns) -> Array:
    """The mean of each cell ``(..., n_cells)``."""
    return np.asarray(scores.mean(axis=-2))


def worst(scores: Returns) -> Array:
    """The mean of the worst cell."""
    return np.asarray(cell_means(scores).min(axis=-1))


def cvar(scores: Returns, share: float = WORST_SHARE) -> Array:
    """
    Conditional value at risk: the mean of the worst cells. Where ``share * n_cells`` is no whole number, the last of the worst
    cells counts in part.

    :param scores: ``(..., n_learners, n_cells)``
    :param share: share of the cells, above 0 and at most 1
    :raises ValueError: if it is not
    """
    if not 0 < share <= 1:
        raise ArgumentError(f"`share` must be above 0 and at most 1, got {share}")
    ordered = np.sort(cell_means(scores), axis=-1)
    n = max(1.0, share * ordered.shape[-1])
    weights = np.clip(n - np.arange(ordered.shape[-1]), 0.0, 1.0)
    return np.asarray((ordered * weights).sum(axis=-1) / n)


def coverage(scores: Returns) -> Array:
    """Share of the cells whose mean is ``COVERED`` or more."""
    return np.asarray((cell_means(scores) >= COVERED).mean(axis=-1))


def failure(scores: Returns) -> Array:
    """Share of the cells whose mean is below ``FAILED``."""
    return np.asarray((cell_means(scores) < FAILED).mean(axis=-1))


def failed_learners(scores: Returns) -> Array:
    """Share of all learners, of whatever cell, whose score is below ``FAILED``."""
    return np.asarray((scores < FAILED).mean(axis=(-2, -1)))


def iqm(scores: Returns) -> Array:
    """Interquartile mean: the mean of all scores without the lowest and the highest quarter, as in rliable."""
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    cut = flat.shape[-1] // 4
    return np.asarray(flat[..., cut : flat.shape[-1] - cut].mean(axis=-1))


def profile(scores: Returns, thresholds: Array = PROFILE) -> Array:
    """
    Performance profile: the share of all learners above each threshold, as in rliable.

    :param scores: ``(..., n_learners, n_cells)``
    :param thresholds: ``(n,)``
    :return: shares ``(..., n)``
    """
    flat = np.sort(scores.reshape(-1, scores.shape[-2] * scores.shape[-1]), axis=-1)
    above = [flat.shape[-1] - np.searchsorted(row, thresholds, side="right") for row in flat]
    return np.asarray(np.reshape(above, (*scores.shape[:-2], len(thresholds))) / flat.shape[-1])


METRICS: dict[str, Metric] = {
    "transfer": transfer,
    "iqm": iqm,
    "worst": worst,
    "cvar": cvar,
    "coverage": coverage,
    "failure": failure,
    "failed_learners": failed_learners,
}
"""Figures of normalised scores, by name."""


@dataclass(frozen=True)
class RankAgreement:
    """
    Kendall's tau-b of two orders of the same items.

    :param tau: 1 for the same order, -1 for the reverse one; ``None`` where it has no meaning, see ``note``
    :param p_value: probability of such a tau, or one further from 0, if there were no relation
    :param n: number of items
    :param n_tied_pairs: pairs of items that are equal in either order, of ``n (n - 1) / 2``; tau-b leaves them out
    :param note: why there is no tau; empty if there is one
    """

    tau: float | None
    p_value: float | None
    n: int
    n_tied_pairs: int
    note: str = ""

    def summary(self) -> Json:
        """In JSON form."""
        return asdict(self)


def rank_preservation(values: Sequence[float] | Array, reference: Sequence[float] | Array) -> RankAgreement:
    """
    Whether cells that are better by one score are better by another: ``tau_b = (C - D) / sqrt((C + D + T) (C + D + T'))``,
    with ``C`` concordant and ``D`` discordant pairs, and ``T``, ``T'`` pairs that are tied in one order alone (Kendall 1945).

    Few cells say nothing, and cells that all reach the highest score are ties: read ``n`` and ``n_tied_pairs`` with it.

    :param values: score of each item ``(n,)``
    :param reference: another one ``(n,)``
    :return: the agreement
    :raises ValueError: if there are not as many of both
    """
    left, right = np.asarray(values, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if left.shape != right.shape or left.ndim != 1:
        raise ArgumentError(f"two orders of the same items are needed, got shapes {left.shape} and {right.shape}")
    first, second = np.triu_indices(len(left), 1)
    tied = int(((left[first] == left[second]) | (right[first] == right[second])).sum())
    for order in (left, right):
        if len(order) < 2 or np.ptp(order) == 0:
            return RankAgreement(None, None, len(left), tied, "all items of an order are equal: there are no ranks")
    from scipy import stats  # takes seconds to import: only where it is used

    result = stats.kendalltau(left, right, variant="b")
    return RankAgreement(float(result.statistic), float(result.pvalue), len(left), tied)


def rank_ceiling(scores: Array) -> RankAgreement:
    """
    Agreement of the order of cells by every other learner with that by the remaining ones: nothing can agree better with these
    scores than half of them does with the other half.

    :param scores: ``(n_learners, n_cells)``
    """
    scores = checked_scores(scores)
    if len(scores) < 2:
        return RankAgreement(None, None, scores.shape[1], 0, "one learner a cell cannot be halved")
    return rank_preservation(scores[::2].mean(axis=0), scores[1::2].mean(axis=0))
