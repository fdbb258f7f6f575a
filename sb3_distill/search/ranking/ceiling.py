"""How well a score can agree with a truth that has noise: the truth against itself, by other seeds."""

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np

from sb3_distill.evaluation.result import Returns
from sb3_distill.generalisation.bootstrap import Estimate, generator_of
from sb3_distill.search.ranking.correlation import enough, means_of
from sb3_distill.search.ranking.resampling import NOTHING, draw_counts, estimate_of, tau_b_draws
from sb3_distill.typing import Array

MOST_SPLITS = 200
"""Splits into halves beyond this number are drawn instead of counted out."""


class NoiseCeiling(NamedTuple):
    """
    Tau-b of the truth with itself, each the mean over all splits of the seeds, with intervals over architectures.

    :param n_seeds: number of seeds
    :param single: one seed against another one
    :param halves: one half of the seeds against the other half
    :param rest: one seed against the mean of the others
    :param noiseless: what returns without noise would reach against the mean of all seeds, see ``noiseless_tau``
    """

    n_seeds: int
    single: Estimate = NOTHING
    halves: Estimate = NOTHING
    rest: Estimate = NOTHING
    noiseless: Estimate = NOTHING


def noise_ceiling(truth: Array, seed: int = 0) -> NoiseCeiling:
    """
    ``single``, ``halves`` and ``rest`` use a part of the seeds on each side. A score is compared with the mean of all seeds,
    which has less noise, so it may lie above these three; ``noiseless`` says how far, under an assumption.

    :param truth: returns ``(n_architectures, n_seeds)``
    :param seed: seed of the draws
    :return: the ceilings; no numbers for one seed, and a warning besides for fewer than ``correlation.FEWEST`` architectures
    :raises ValueError: see ``correlation.means_of``
    """
    n = len(means_of(truth, "returns"))
    returns: Returns = np.asarray(truth, dtype=np.float64).reshape(n, -1)
    n_seeds = returns.shape[1]
    if n_seeds < 2 or not enough(n, "a noise ceiling"):
        return NoiseCeiling(n_seeds)
    counts = np.concatenate([np.ones((1, n), dtype=int), draw_counts(n, seed)])  # the first row: every architecture once
    seeds = range(n_seeds)
    single = _mean_tau(returns, [([i], [j]) for i, j in combinations(seeds, 2)], counts)
    halves = _mean_tau(returns, [(half, _others(half, n_seeds)) for half in halves_of(n_seeds, seed)], counts)
    rest = _mean_tau(returns, [([i], _others([i], n_seeds)) for i in seeds], counts)
    noiseless = np.array([noiseless_tau(float(tau), n_seeds) for tau in single])
    estimates = (estimate_of(float(taus[0]), taus[1:]) for taus in (single, halves, rest, noiseless))
    return NoiseCeiling(n_seeds, *estimates)


def halves_of(n_seeds: int, seed: int = 0) -> list[list[int]]:
    """
    :param n_seeds: number of seeds
    :param seed: seed of the splits, where they are drawn
    :return: one half of each split, the smaller one of an odd number; all splits, or ``MOST_SPLITS`` of them
    """
    size = n_seeds // 2
    even = n_seeds % 2 == 0
    if math.comb(n_seeds, size) // (2 if even else 1) > MOST_SPLITS:
        rng = generator_of(seed)
        return [rng.permutation(n_seeds)[:size].tolist() for _ in range(MOST_SPLITS)]
    halves = [list(half) for half in combinations(range(n_seeds), size)]
    return [half for half in halves if 0 in half] if even else halves  # the other half of an even split is no other split


def noiseless_tau(single: float, n_seeds: int) -> float:
    """
    Tau of the expected returns with the mean of ``n_seeds`` seeds, from the tau of two single seeds, if expected returns and
    noise are normal and the noise is alike for all architectures. Then ``tau = 2 / pi arcsin(r)`` (Greiner 1909), the mean of
    ``n`` seeds has the reliability ``n r / (1 + (n - 1) r)`` (Spearman 1910, Brown 1910), whose square root is the correlation
    of this mean with the expected returns.

    Returns with a ceiling, or noise that grows with the return, break the assumption: read the number as a rough one.

    :param single: tau of one seed with another one
    :param n_seeds: number of seeds whose mean is the truth
    :return: tau; 0 where single seeds do not agree, NaN for NaN
    """
    correlation = np.clip(math.sin(math.pi / 2 * single), 0.0, 1.0)
    reliability = n_seeds * correlation / (1 + (n_seeds - 1) * correlation)
    return float(2 / math.pi * np.arcsin(np.sqrt(reliability)))


def _others(seeds: list[int], n_seeds: int) -> list[int]:
    return [i for i in range(n_seeds) if i not in seeds]


def _mean_tau(returns: Returns, splits: list[tuple[list[int], list[int]]], counts: Array) -> Array:
    """Mean tau-b of the splits for each draw ``(n_resamples,)``."""
    taus = [tau_b_draws(returns[:, one].mean(axis=1), returns[:, other].mean(axis=1), counts) for one, other in splits]
    return np.asarray(np.mean(taus, axis=0))
