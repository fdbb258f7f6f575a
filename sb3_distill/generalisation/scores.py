"""Scores of a dataset on the cells of a grid."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch as th
from stable_baselines3.common.policies import BasePolicy

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.environments.foreign.hand_over import EnvSource
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.grids import Grid
from sb3_distill.evaluation.protocol import Teaching, evaluate_grid, evaluate_learners
from sb3_distill.evaluation.result import Returns
from sb3_distill.generalisation.bootstrap import Estimate, each_cell, estimate, interval, resample
from sb3_distill.generalisation.metrics import METRICS, RankAgreement, cell_means, normalised, rank_ceiling, worst
from sb3_distill.learners.distribution import LearnerDistribution, LearnerDistributionLike
from sb3_distill.typing import Array, Json


@dataclass(frozen=True)
class Measuring:
    """
    How learners are measured; the parameters are those of ``evaluate_learners``.

    :param n_learners: number of learners of a cell
    :param n_episodes: number of episodes of each
    """

    n_learners: int
    n_episodes: int
    deterministic: bool = False
    env: EnvSource | None = None
    max_envs: int | None = None
    seed: int = 0
    progress_bar: bool = False
    policy: str | type[BasePolicy] | None = None
    policy_kwargs: Mapping[str, object] | None = None
    device: th.device | str = "cpu"
    allow_imports: Collection[str] = ()

    def learners(
        self,
        dataset: SyntheticDataset,
        distribution: LearnerDistributionLike | None,
        teach: Teaching = True,
        n_learners: int | None = None,
    ) -> Returns:
        """
        :param dataset: the dataset
        :param distribution: distribution to draw from; ``None`` for the policy, initialised its own way
        :param teach: see ``evaluate_learners``
        :param n_learners: number of learners, if it is another one
        :return: mean return of each learner ``(n_learners,)``
        """
        n = self.n_learners if n_learners is None else n_learners
        return evaluate_learners(
            dataset, n, self.n_episodes, self.deterministic, distribution, self.env, teach, self.max_envs, self.seed,
            self.progress_bar, self.policy, self.policy_kwargs, device=self.device, allow_imports=self.allow_imports,
        ).learner_means  # fmt: skip

    def grid(self, dataset: SyntheticDataset, grid: Grid, teach: Teaching = True) -> Returns:
        """
        :param dataset: the dataset
        :param grid: learner distributions by name, or the name of a grid
        :param teach: see ``evaluate_learners``
        :return: mean return of each learner in each cell ``(n_learners, n_cells)``
        """
        evaluations = evaluate_grid(
            dataset, grid, self.n_learners, self.n_episodes, self.deterministic, self.env, teach, self.max_envs, self.seed,
            self.progress_bar, self.policy, self.policy_kwargs, self.device, self.allow_imports,
        )  # fmt: skip
        return np.stack([evaluation.learner_means for evaluation in evaluations.values()], axis=1)


@dataclass(frozen=True)
class GridScores:
    """
    :param name: name of the grid
    :param cells: its learner distributions by name
    :param returns: mean return of each learner in each cell ``(n_learners, n_cells)``
    :param untaught: return of untaught learners: of the task, or of each cell ``(n_cells,)``
    :param reference: return that counts as perfect
    :param seed: seed of the draws behind intervals
    """

    name: str
    cells: Mapping[str, LearnerDistributionLike]
    returns: Returns
    untaught: float | Returns
    reference: float
    seed: int = 0

    @property
    def r(self) -> Returns:
        """Normalised returns ``(n_learners, n_cells)``, see ``metrics.normalised``."""
        return normalised(self.returns, self.untaught, self.reference)

    @property
    def worst_cell(self) -> str | None:
        """Name of the cell with the lowest mean; ``None`` if all are alike."""
        means = cell_means(self.r)
        return list(self.cells)[int(means.argmin())] if np.ptp(means) > 0 else None

    @property
    def ceiling(self) -> RankAgreement:
        """See ``metrics.rank_ceiling``."""
        return rank_ceiling(self.r)

    @cached_property
    def draws(self) -> dict[str, Array]:
        """
        Each figure of ``METRICS`` for each draw of a bootstrap ``(n_resamples,)``, by name. The minimum of drawn cells is
        never below that of all, so that the worst cell is drawn with its learners alone.
        """

        def all_at_once(scores: Returns) -> Array:
            return np.stack([metric(scores) for metric in METRICS.values()], axis=-1)

        drawn = dict(zip(METRICS, resample(all_at_once, self.r, seed=self.seed).T, strict=True))
        return {**drawn, "worst": resample(worst, self.r, each_cell(self.returns), seed=self.seed)}

    @cached_property
    def figures(self) -> dict[str, Estimate]:
        """The figures of ``METRICS`` with their intervals, by name."""
        return {name: interval(metric(self.r), self.draws[name])[0] for name, metric in METRICS.items()}

    @cached_property
    def of_cells(self) -> dict[str, Estimate]:
        """Mean normalised return of each cell, with an interval over its learners, by the name of the cell."""
        return dict(zip(self.cells, estimate(cell_means, self.r, each_cell(self.returns), self.seed), strict=True))

    def summary(self) -> Json:
        """All figures in JSON form."""
        means = cell_means(self.returns).tolist()
        return {
            "name": self.name,
            **{name: figure.summary() for name, figure in self.figures.items()},
            "worst_cell": self.worst_cell,
            "rank_ceiling": self.ceiling.summary(),
            "cells": {
                name: {"return": mean, "r": figure.summary()}
                for mean, (name, figure) in zip(means, self.of_cells.items(), strict=True)
            },
        }


def check_held_out(
    dataset: SyntheticDataset, grid: Mapping[str, LearnerDistributionLike], held_out: Mapping[str, LearnerDistributionLike]
) -> None:
    """
    :param dataset: a dataset
    :param grid: cells of a grid that may be trained and tuned on
    :param held_out: cells of a grid that may not
    :raises ValueError: if they share a cell, or the dataset was made for one that is held out
    """
    used = {_key(cell) for cell in grid.values()}
    trained = {json.dumps([_plain(component)], sort_keys=True) for component in dataset.info.learner_distribution}
    for name, cell in held_out.items():
        if _key(cell) in used:
            raise ArgumentError(
                f"`held_out` must be another grid than `grid`: cell {name!r} is in both. Pass a grid that nothing was "
                "trained, tuned or chosen on, or None"
            )
        if _key(cell) in trained:
            raise ArgumentError(
                f"the dataset was made for cell {name!r} of `held_out`: pass a grid of other learners, or None"
            )


def _key(cell: LearnerDistributionLike) -> str:
    """A text that is the same for equal distributions."""
    return json.dumps([_plain(part.to_json()) for part in LearnerDistribution.parse(cell).components], sort_keys=True)


def _plain(component: Json) -> Json:
    """A component without its weight."""
    return {name: value for name, value in component.items() if name != "weight"}


def learners_made_for(dataset: SyntheticDataset) -> LearnerDistribution:
    """
    :param dataset: a dataset
    :return: the learners that it was made to teach
    :raises ValueError: if its file names classes, which are not in it
    """
    components = dataset.info.learner_distribution
    if any("policy" in component or isinstance(component.get("policy_kwargs"), str) for component in components):
        raise ArgumentError(
            "the dataset was made for policies whose code is not in its file: pass the learners as `in_distribution`"
        )
    return LearnerDistribution.parse(components or None)
