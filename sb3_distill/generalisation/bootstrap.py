"""
Intervals: which figures other cells, and other learners, might have given.

Cells are drawn with replacement, and for each drawn cell its learners with replacement: a hierarchical bootstrap (Davison &
Hinkley, *Bootstrap Methods and their Application*, 1997, section 3.8). Where each cell is a stratum of its own, cells stay and
learners alone are drawn: the stratified bootstrap of rliable.

rliable 1.2.0 is not used for it: its draws come from NumPy's global generator whatever its ``random_state``, and it has no
draws that two sets share.
"""

from typing import NamedTuple

import numpy as np

from sb3_distill.evaluation.result import Returns
from sb3_distill.generalisation.metrics import Metric, checked_scores
from sb3_distill.typing import Array, Json

N_RESAMPLES = 2000
"""Number of draws of a bootstrap."""
CONFIDENCE = 0.95
"""Probability that an interval aims at."""
MOST_NUMBERS = 2**21
"""Scores that are drawn at once, which bounds the memory."""


class Estimate(NamedTuple):
    """
    :param value: a figure
    :param low: lower end of its interval
    :param high: upper end
    """

    value: float
    low: float
    high: float

    def summary(self) -> Json:
        """In JSON form."""
        return self._asdict()

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def generator_of(seed: int) -> np.random.Generator:
    """A generator for each seed that PyTorch takes, negative ones too."""
    return np.random.default_rng(seed % 2**64)


def resample(
    metric: Metric, scores: Array, strata: Array | None = None, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> Array:
    """
    Draws depend on the shape of the scores, the strata and the seed alone. So the differences of two results of one seed are
    those of a paired bootstrap: each cell, and each learner, is drawn for both or for neither.

    :param metric: figure of scores
    :param scores: ``(n_learners, n_cells)``
    :param strata: a label for each cell ``(n_cells,)``; a cell is replaced by one of the same label. ``None``: one label for
        all
    :param n_resamples: number of draws
    :param seed: seed of the draws
    :return: the figure of each draw ``(n_resamples, ...)``
    """
    scores = checked_scores(scores)
    n_learners, n_cells = scores.shape
    labels = np.zeros(n_cells, dtype=int) if strata is None else np.asarray(strata)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    rng = generator_of(seed)
    chunk = max(1, MOST_NUMBERS // scores.size)
    parts = []
    for start in range(0, n_resamples, chunk):
        n = min(chunk, n_resamples - start)
        cells = np.empty((n, n_cells), dtype=int)
        for group in members:
            cells[:, group] = rng.choice(group, (n, len(group)))
        learners = rng.integers(n_learners, size=(n, n_learners, n_cells))
        parts.append(np.asarray(metric(scores[learners, cells[:, None]])))
    return np.concatenate(parts)


def each_cell(scores: Array) -> Array:
    """Strata that keep the cells: each one is its own ``(n_cells,)``."""
    return np.arange(np.shape(scores)[1])


def interval(value: float | Array, draws: Array, confidence: float = CONFIDENCE) -> list[Estimate]:
    """
    :param value: figures ``(...)``
    :param draws: their draws ``(n_resamples, ...)``
    :param confidence: probability that the intervals aim at
    :return: an interval of percentiles for each figure, in their order
    """
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    values = zip(np.ravel(value), np.ravel(low), np.ravel(high), strict=True)
    return [Estimate(float(figure), float(lower), float(upper)) for figure, lower, upper in values]


def estimate(metric: Metric, scores: Returns, strata: Array | None = None, seed: int = 0) -> list[Estimate]:
    """
    :param metric: figure, or figures, of scores
    :param scores: ``(n_learners, n_cells)``
    :param strata: see ``resample``
    :param seed: seed of the draws
    :return: the figures with their intervals
    """
    return interval(metric(checked_scores(scores)), resample(metric, scores, strata, seed=seed))
