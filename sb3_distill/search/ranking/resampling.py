"""
Intervals of agreements: which figures other architectures of the same space might have given.

Architectures are drawn with replacement; a draw is the number of times that each was drawn. Figures of all draws are computed
at once from these numbers, since SciPy's functions in a loop take minutes. A pair of an architecture with itself carries no
information: tau-b leaves it out, as it leaves out any pair that is tied in both orders.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sb3_distill.generalisation.bootstrap import N_RESAMPLES, Estimate, generator_of, interval
from sb3_distill.search.ranking import correlation
from sb3_distill.search.ranking.correlation import enough, means_of, paired_means
from sb3_distill.typing import Array, Json

TOPS = (5, 10)
"""Sizes of the top in tables."""
NOTHING = Estimate(math.nan, math.nan, math.nan)
"""No number."""


class Agreement(NamedTuple):
    """
    How a score agrees with the truth, with 95 % intervals over architectures.

    :param n: number of architectures
    :param n_tied_pairs: pairs of architectures with the same score, of ``n (n - 1) / 2``
    :param tau_b: Kendall's tau-b
    :param spearman: Spearman's rank correlation
    :param top_5: overlap of the best 5
    :param top_10: overlap of the best 10
    :param regret: normalised regret of the pick
    :param pick_return: true mean return of the pick
    """

    n: int
    n_tied_pairs: int
    tau_b: Estimate = NOTHING
    spearman: Estimate = NOTHING
    top_5: Estimate = NOTHING
    top_10: Estimate = NOTHING
    regret: Estimate = NOTHING
    pick_return: Estimate = NOTHING


def draw_counts(n: int, seed: int = 0, n_resamples: int = N_RESAMPLES) -> Array:
    """
    Draws depend on the arguments alone: scores of the same architectures share them, which pairs their differences.

    :param n: number of architectures
    :param seed: seed of the draws
    :param n_resamples: number of draws
    :return: how often each architecture was drawn ``(n_resamples, n)``; a row has the sum ``n``
    """
    return generator_of(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples)


def estimate_of(value: float, draws: Array) -> Estimate:
    """
    :param value: a figure
    :param draws: its draws ``(n_resamples,)``; NaN where a draw has none
    :return: the figure with the interval of the draws that have one
    """
    draws = draws[np.isfinite(draws)]
    return interval(value, draws)[0] if math.isfinite(value) and len(draws) else NOTHING


def tau_b_draws(truth: Array, score: Array, counts: Array) -> Array:
    """
    :param truth: mean returns ``(n,)``
    :param score: scores ``(n,)``
    :param counts: draws ``(n_resamples, n)``, see ``draw_counts``
    :return: tau-b of each draw, as ``scipy.stats.kendalltau`` gives it ``(n_resamples,)``; NaN where an order is constant
    """
    true, scored = (np.sign(values[:, None] - values[None]) for values in (truth, score))
    weights = counts.astype(np.float64)

    def pairs(signs: Array) -> Array:
        return np.asarray(((weights @ signs) * weights).sum(axis=1))

    return _ratio(pairs(true * scored), np.sqrt(pairs(np.abs(true)) * pairs(np.abs(scored))))


def spearman_draws(truth: Array, score: Array, counts: Array) -> Array:
    """
    :param truth: mean returns ``(n,)``
    :param score: scores ``(n,)``
    :param counts: draws ``(n_resamples, n)``, see ``draw_counts``
    :return: Spearman's correlation of each draw ``(n_resamples,)``; NaN where an order is constant
    """
    n = len(truth)
    centred = []
    for values in (truth, score):
        below = (values[:, None] < values[None]) + 0.5 * (values[:, None] == values[None])
        centred.append(counts @ below - n / 2)  # the mean of ranks of n items, less what all ranks share
    true, scored = centred

    def product(left: Array, right: Array) -> Array:
        return np.asarray((counts * left * right).sum(axis=1))

    return _ratio(product(true, scored), np.sqrt(product(true, true) * product(scored, scored)))


def overlap_draws(truth: Array, score: Array, counts: Array, k: int, seed: int = 0) -> Array:
    """
    The top of a draw may hold an architecture several times; the overlap counts the times that both tops share. Each draw
    breaks ties at random, and copies of an architecture stay together.

    :param truth: mean returns ``(n,)``
    :param score: scores ``(n,)``
    :param counts: draws ``(n_resamples, n)``, see ``draw_counts``
    :param k: size of the top
    :param seed: seed of what breaks ties
    :return: overlap of each draw ``(n_resamples,)``
    """
    rng = generator_of(seed)
    taken = []
    for values in (truth, score):
        _, codes = np.unique(values, return_inverse=True)
        order = np.argsort(-(codes + rng.random(counts.shape)), axis=1)
        ordered = np.take_along_axis(counts, order, axis=1)
        n_taken = np.clip(k - (ordered.cumsum(axis=1) - ordered), 0, ordered)
        places = np.empty_like(counts)
        np.put_along_axis(places, order, n_taken, axis=1)
        taken.append(places)
    return np.asarray(np.minimum(*taken).sum(axis=1) / k)


def pick_draws(truth: Array, score: Array, counts: Array) -> tuple[Array, Array]:
    """
    :param truth: mean returns ``(n,)``
    :param score: scores ``(n,)``
    :param counts: draws ``(n_resamples, n)``, see ``draw_counts``
    :return: of each draw the true return of the pick, and the normalised regret ``(n_resamples,)``; NaN where half of the
        architectures are as good as the best
    """
    drawn = counts > 0
    highest = np.where(drawn, score, -np.inf).max(axis=1, keepdims=True)
    first = counts * (score == highest)
    picks = first @ truth / first.sum(axis=1)
    members = np.repeat(np.tile(np.arange(len(truth)), len(counts)), counts.ravel()).reshape(counts.shape)
    best, median = truth[members].max(axis=1), np.median(truth[members], axis=1)
    return picks, _ratio(best - picks, best - median)


def agreement(truth: Array, score: Array, seed: int = 0) -> Agreement:
    """
    :param truth: returns ``(n_architectures, n_seeds)``
    :param score: scores ``(n_architectures,)`` or ``(n_architectures, n_seeds)``
    :param seed: seed of the draws
    :return: all figures with intervals; for fewer than ``correlation.FEWEST`` architectures a warning and no numbers
    :raises ValueError: see ``correlation.paired_means``
    """
    return agreements(truth, {"": score}, seed)[""]


def agreements(truth: Array, scores: Mapping[str, Array], seed: int = 0) -> dict[str, Agreement]:
    """
    :param truth: returns ``(n_architectures, n_seeds)``
    :param scores: scores by name, as in ``agreement``
    :param seed: seed of the draws, which all scores share
    :return: an agreement for each name; for too few architectures one warning and no numbers
    :raises ValueError: see ``correlation.paired_means``
    """
    pairs = {name: paired_means(truth, score) for name, score in scores.items()}
    ties = {name: correlation.n_tied_pairs(scored) for name, (_, scored) in pairs.items()}
    n = len(means_of(truth, "returns"))
    if not enough(n):
        return {name: Agreement(n, n_tied) for name, n_tied in ties.items()}
    counts = draw_counts(n, seed)
    return {name: Agreement(n, ties[name], **_figures(*pair, counts, seed)) for name, pair in pairs.items()}


def _figures(true: Array, scored: Array, counts: Array, seed: int) -> dict[str, Estimate]:
    picks, regrets = pick_draws(true, scored, counts)
    tops = {
        f"top_{k}": estimate_of(correlation.top_overlap(true, scored, k), overlap_draws(true, scored, counts, k, seed))
        for k in TOPS
    }
    return {
        "tau_b": estimate_of(correlation.tau_b(true, scored), tau_b_draws(true, scored, counts)),
        "spearman": estimate_of(correlation.spearman(true, scored), spearman_draws(true, scored, counts)),
        **tops,
        "regret": estimate_of(correlation.regret(true, scored), regrets),
        "pick_return": estimate_of(correlation.pick_return(true, scored), picks),
    }


def tau_b_difference(truth: Array, score: Array, other: Array, seed: int = 0) -> Estimate:
    """
    Tau-b of a score minus that of another one, by a paired bootstrap: each architecture is drawn for both or for neither. An
    interval above 0 says that the score ranks better. Intervals of several differences are not corrected for their number.

    :param truth: returns ``(n_architectures, n_seeds)``
    :param score: scores, as in ``agreement``
    :param other: the scores that it is compared with
    :param seed: seed of the draws
    :return: difference with its interval; for too few architectures a warning and no number
    :raises ValueError: see ``correlation.paired_means``
    """
    true, scored = paired_means(truth, score)
    _, others = paired_means(truth, other)
    if not enough(len(true)):
        return NOTHING
    counts = draw_counts(len(true), seed)
    draws = tau_b_draws(true, scored, counts) - tau_b_draws(true, others, counts)
    return estimate_of(correlation.tau_b(true, scored) - correlation.tau_b(true, others), draws)


def summary_of(found: Agreement) -> Json:
    """In JSON form; a number that is not there is ``None``."""
    return {
        key: value if isinstance(value, int) else estimate_in_json(value) for key, value in found._asdict().items()
    }  # fmt: skip


def estimate_in_json(found: Estimate) -> Json:
    """In JSON form; NaN and infinity are ``None``."""
    return {key: value if math.isfinite(value) else None for key, value in found.summary().items()}


def _ratio(numerator: Array, denominator: Array) -> Array:
    """A quotient; NaN where the denominator is 0."""
    return np.asarray(np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0))
