"""What a factor of the architecture (width, depth, activation, ...) changes: main effects on a grid."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sb3_distill.evaluation.grids import LEVELS
from sb3_distill.evaluation.result import Returns
from sb3_distill.generalisation.bootstrap import Estimate, generator_of, interval, resample
from sb3_distill.generalisation.metrics import cell_means, checked_scores
from sb3_distill.learners.distribution import LearnerDistribution, LearnerDistributionLike
from sb3_distill.typing import Array, Json

MOST_LEVELS, GROUPS = 6, 4
"""Numbers with more different values are put into so many groups of about equal size."""
N_SHUFFLES = 1000
"""Shuffles behind ``Effect.noise``."""


@dataclass(frozen=True)
class Effect:
    """
    The main effect of one factor.

    :param factor: name of the factor
    :param levels: its levels, in words
    :param means: mean score of the cells of each level
    :param spread: the largest mean minus the smallest one, with an interval of the difference of these two levels. It is
        positive by chance too, since they were chosen by their means: compare ``noise``
    :param noise: spread that 95 % of shuffles of the cells among the levels stay below
    :param share: share of the variance of cell means that the factor explains, 0 to 1 (eta squared)
    """

    factor: str
    levels: list[str]
    means: list[Estimate]
    spread: Estimate
    noise: float
    share: float

    def summary(self) -> Json:
        """In JSON form."""
        means = {level: mean.summary() for level, mean in zip(self.levels, self.means, strict=True)}
        return {"means": means, "spread": self.spread.summary(), "noise": self.noise, "share": self.share}


@dataclass(frozen=True)
class Sensitivity:
    """
    :param effects: one for each factor that varies
    :param note: what a reader must know of them; empty if there is nothing
    """

    effects: list[Effect]
    note: str = ""

    def summary(self) -> Json:
        """In JSON form."""
        return {"effects": {effect.factor: effect.summary() for effect in self.effects}, "note": self.note}


def sensitivity(scores: Array, cells: Mapping[str, LearnerDistributionLike], seed: int = 0) -> Sensitivity:
    """
    For a level ``v`` of a factor the mean score of the cells that have it. On a balanced grid (``factors``) all other factors
    are the same there on average, so that differences of these means are main effects; a note says where they are not.

    Intervals come from draws of cells within each level, then of learners.

    :param scores: ``(n_learners, n_cells)``
    :param cells: learner distributions by name, in the order of the columns
    :param seed: seed of draws and shuffles
    :return: effects of the factors that vary, and are fixed in every cell
    """
    scores = checked_scores(scores)
    if len(cells) < 2:
        return Sensitivity([], "one cell has no factor that varies: sensitivity needs a grid of several cells")
    levels = factor_levels(cells)
    if not levels:
        return Sensitivity([], "no factor has one fixed level in each cell and several in the grid")
    effects = [_effect(name, codes, words, scores, seed) for name, (codes, words) in levels.items()]
    balanced = is_balanced([codes for codes, _ in levels.values()])
    return Sensitivity(effects, "" if balanced else "the grid is not balanced: in these means other factors differ too")


def factor_levels(cells: Mapping[str, LearnerDistributionLike]) -> dict[str, tuple[Array, list[str]]]:
    """
    :param cells: learner distributions by name
    :return: by factor the number of each cell's level ``(n_cells,)``, and the levels in words; without factors that have one
        level, or are drawn anew in a cell
    """
    parsed = [LearnerDistribution.parse(cell).components for cell in cells.values()]
    found = {}
    for name in LEVELS:
        values = [getattr(components[0], name) if len(components) == 1 else [] for components in parsed]
        if any(isinstance(value, (list, tuple)) for value in values) or any(0 < _chance(name, value) < 1 for value in values):
            continue
        codes, words = _coded(values)
        if len(words) > 1:
            found[name] = (codes, words)
    return found


def _chance(name: str, value: object) -> float:
    """A layer norm may be a probability."""
    return float(value) if name == "layer_norm" and isinstance(value, (int, float)) else 0.0


def _coded(values: list[object]) -> tuple[Array, list[str]]:
    """The number of each value's level, and the levels: numbers in their order, words as they first come."""
    distinct = list(dict.fromkeys(values))
    numbers = sorted(value for value in distinct if isinstance(value, (int, float)))
    if len(numbers) == len(distinct) > MOST_LEVELS:
        groups = np.array_split(np.array(numbers), GROUPS)
        codes = np.searchsorted([group[0] for group in groups[1:]], np.array(values, dtype=float), side="right")
        return codes, [f"{group[0]:g} to {group[-1]:g}" for group in groups]
    ordered: list[object] = list(numbers) if len(numbers) == len(distinct) else distinct
    words = ["default" if value is None else str(value) for value in ordered]
    return np.array([ordered.index(value) for value in values]), words


def is_balanced(codes: list[Array]) -> bool:
    """
    :param codes: for each factor the number of each cell's level ``(n_cells,)``
    :return: whether the levels of any two factors occur together as often as their frequencies say
    """
    for i, left in enumerate(codes):
        for right in codes[:i]:
            together = np.zeros((left.max() + 1, right.max() + 1))
            np.add.at(together, (left, right), 1)
            expected = together.sum(axis=1, keepdims=True) * together.sum(axis=0) / len(left)
            if not np.allclose(together, expected):
                return False
    return True


def level_means(means: Array, codes: Array) -> Array:
    """
    :param means: means of cells ``(..., n_cells)``
    :param codes: number of each cell's level ``(n_cells,)``
    :return: means of levels ``(..., n_levels)``
    """
    member = np.eye(codes.max() + 1)[codes]
    return np.asarray(means @ (member / member.sum(axis=0)))


def _effect(name: str, codes: Array, words: list[str], scores: Returns, seed: int) -> Effect:
    def metric(drawn: Returns) -> Array:
        return level_means(cell_means(drawn), codes)

    means, draws = metric(scores), resample(metric, scores, strata=codes, seed=seed)
    low, high = int(means.argmin()), int(means.argmax())
    rng = generator_of(seed)
    cells = cell_means(scores)
    shuffled = level_means(rng.permuted(np.tile(cells, (N_SHUFFLES, 1)), axis=1), codes)
    total = float(np.square(cells - cells.mean()).sum())
    explained = float(np.square(means[codes] - cells.mean()).sum())
    return Effect(
        name,
        words,
        interval(means, draws),
        interval(means[high] - means[low], draws[:, high] - draws[:, low])[0],
        float(np.quantile(np.ptp(shuffled, axis=1), 0.95)),
        explained / total if total > 0 else 0.0,
    )
