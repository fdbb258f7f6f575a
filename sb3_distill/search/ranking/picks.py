"""
Whether picks are better than baselines: final returns of both, trained again with new seeds.

The return by which an architecture was picked is biased upwards, and enters no comparison.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sb3_distill.errors import ArgumentError, NotFiniteError
from sb3_distill.evaluation.result import Returns
from sb3_distill.generalisation.bootstrap import N_RESAMPLES, Estimate, generator_of, interval
from sb3_distill.typing import Array, Json

MOST_PERMUTATIONS = 20_000
"""Divisions of tied returns into two groups beyond this number are not counted out."""


@dataclass(frozen=True)
class PickComparison:
    """
    A pick against a baseline, both trained with new seeds. All p-values are two-sided.

    :param pick: what was picked, and by what, in words
    :param baseline: what it is compared with
    :param difference: mean return of the pick minus that of the baseline, with an interval over seeds
    :param improvement: probability that a seed of the pick is better than one of the baseline, see
        ``probability_of_improvement``
    :param welch: p-value of Welch's t-test of the means; NaN if no return of either varies
    :param mann_whitney: p-value of the Mann-Whitney U test
    :param exact: whether the latter is exact, and not that of the normal approximation
    :param welch_holm: ``welch`` corrected for the family, see ``holm_family``; NaN before
    :param mann_whitney_holm: ``mann_whitney`` corrected for the family; NaN before
    """

    pick: str
    baseline: str
    difference: Estimate
    improvement: Estimate
    welch: float
    mann_whitney: float
    exact: bool
    welch_holm: float = math.nan
    mann_whitney_holm: float = math.nan

    def summary(self) -> Json:
        """In JSON form; a p-value that is not there is ``None``."""
        numbers = {name: getattr(self, name) for name in ("welch", "mann_whitney", "welch_holm", "mann_whitney_holm")}
        return {
            "pick": self.pick,
            "baseline": self.baseline,
            "difference": self.difference.summary(),
            "improvement": self.improvement.summary(),
            **{name: None if math.isnan(value) else value for name, value in numbers.items()},
            "exact": self.exact,
        }


def compare_pick(pick: str, returns: Array, baseline: str, others: Array, seed: int = 0) -> PickComparison:
    """
    :param pick: name of the pick
    :param returns: its final mean return for each new seed ``(n,)``
    :param baseline: name of the baseline
    :param others: that of the baseline for each seed ``(m,)``
    :param seed: seed of the bootstrap, which draws the seeds of both with replacement
    :return: the comparison, not yet corrected
    :raises ValueError: for fewer than two seeds of one
    :raises FloatingPointError: if a return is NaN or infinite
    """
    one, two = _checked(pick, returns), _checked(baseline, others)
    rng = generator_of(seed)
    ones, twos = (values[rng.integers(len(values), size=(N_RESAMPLES, len(values)))] for values in (one, two))
    difference = interval(one.mean() - two.mean(), ones.mean(axis=1) - twos.mean(axis=1))[0]
    improvement = interval(probability_of_improvement(one, two), probability_of_improvement(ones, twos))[0]
    p_value, exact = mann_whitney(one, two)
    return PickComparison(pick, baseline, difference, improvement, welch(one, two), p_value, exact)


def probability_of_improvement(returns: Array, others: Array) -> Array:
    """
    :param returns: returns of one ``(..., n)``
    :param others: returns of the other ``(..., m)``
    :return: share of the ``n m`` pairs in which the first is better; ties count half: ``U / (n m)`` (Agarwal et al. 2021)
    """
    difference = np.sign(returns[..., :, None] - others[..., None, :])
    return np.asarray(0.5 + 0.5 * difference.mean(axis=(-2, -1)))


def welch(returns: Array, others: Array) -> float:
    """
    :param returns: returns of one ``(n,)``
    :param others: returns of the other ``(m,)``
    :return: two-sided p-value of Welch's t-test, for groups of unequal variances; NaN if nothing varies in either
    """
    if np.ptp(returns) == 0 and np.ptp(others) == 0:
        return math.nan
    from scipy import stats  # takes seconds to import: only where it is used

    # of moments, since `ttest_ind` warns of a group that is constant, as one at the ceiling is
    groups = [number for group in (returns, others) for number in (group.mean(), group.std(ddof=1), len(group))]
    return float(stats.ttest_ind_from_stats(*groups, equal_var=False).pvalue)


def mann_whitney(returns: Array, others: Array) -> tuple[float, bool]:
    """
    :param returns: returns of one ``(n,)``
    :param others: returns of the other ``(m,)``
    :return: two-sided p-value of the Mann-Whitney U test, and whether it is exact: without ties always, with ties up to
        ``MOST_PERMUTATIONS`` divisions into two groups
    """
    from scipy import stats  # takes seconds to import: only where it is used

    both = np.concatenate([returns, others])
    if np.ptp(both) == 0:
        return 1.0, True
    if len(np.unique(both)) == len(both):
        return float(stats.mannwhitneyu(returns, others, method="exact").pvalue), True
    if math.comb(len(both), len(returns)) > MOST_PERMUTATIONS:
        return float(stats.mannwhitneyu(returns, others, method="asymptotic").pvalue), False
    all_divisions = stats.PermutationMethod(n_resamples=np.inf)
    return float(stats.mannwhitneyu(returns, others, method=all_divisions).pvalue), True


def holm(p_values: Array) -> Returns:
    """
    Holm's step-down correction: the ``i``-th smallest of ``m`` p-values times ``m - i + 1``, not below that of a smaller one,
    at most 1 (Holm 1979). The chance of one false finding or more among those at ``p <= alpha`` is ``alpha`` at most.

    :param p_values: p-values of a family ``(m,)``; NaN counts as a member without a finding
    :return: corrected p-values in the same order; NaN stays
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values)  # NaN last
    corrected = np.empty_like(p_values)
    corrected[order] = np.maximum.accumulate(np.minimum(p_values[order] * np.arange(len(p_values), 0, -1), 1.0))
    return corrected


def holm_family(comparisons: Sequence[PickComparison]) -> list[PickComparison]:
    """
    Each of the two tests is a family of its own. A claim names its test before the returns are seen; who takes the smaller of
    the two p-values must correct for that too.

    :param comparisons: all comparisons behind one claim: of all picks, with all baselines, on all tasks
    :return: the same with corrected p-values
    """
    t_tests, rank_tests = (holm(np.array([getattr(one, test) for one in comparisons])) for test in ("welch", "mann_whitney"))
    return [
        replace(one, welch_holm=float(t_test), mann_whitney_holm=float(rank_test))
        for one, t_test, rank_test in zip(comparisons, t_tests, rank_tests, strict=True)
    ]


def _checked(name: str, returns: Array) -> Returns:
    values: Returns = np.asarray(returns, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ArgumentError(
            f"returns of {name} must be (n_seeds,), two seeds at least, got shape {values.shape}: train it with more seeds"
        )
    if not np.isfinite(values).all():
        raise NotFiniteError(
            f"{np.count_nonzero(~np.isfinite(values))} of {len(values)} returns of {name} are NaN or infinite"
        )
    return values
