"""One report of how a dataset serves learners that it was not made for."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch as th
from stable_baselines3.common.policies import BasePolicy

from sb3_distill.dataset.facts import HasFacts, inner_loop_in_words
from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.environments.foreign.hand_over import EnvSource
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.grids import HELD_OUT, Grid, load_grid
from sb3_distill.evaluation.result import Returns
from sb3_distill.generalisation.bootstrap import Estimate, interval, resample
from sb3_distill.generalisation.factors import Sensitivity, sensitivity
from sb3_distill.generalisation.metrics import normalised, transfer
from sb3_distill.generalisation.recipes import RECIPE_CELLS, Recipe, RecipeScores, measure_recipes
from sb3_distill.generalisation.scores import GridScores, Measuring, check_held_out, learners_made_for
from sb3_distill.inner_loop.loop import InnerLoop
from sb3_distill.learners.distribution import LearnerDistributionLike
from sb3_distill.typing import Array, Json

FEWEST = 20
"""Smallest number of learners behind the in-distribution and the untaught return."""
Untaught = float | Literal["task", "cell"]
"""A return, or what it is measured on."""


@dataclass(frozen=True, repr=False)
class GeneralisationReport(HasFacts):
    """
    :param name: name of the dataset
    :param inner_loop: how learners were taught, as ``DatasetInfo.inner_loop`` says it
    :param made_for: mean returns of learners that the set was made for ``(n,)``
    :param grid: scores on the grid
    :param held_out: scores on the grid that nothing was chosen on; ``None`` if there is none
    :param recipes: scores of ordinary training; ``None`` if it was not tried
    :param task: id of the environment
    :param n_episodes: number of episodes of each learner
    :param deterministic: whether the most likely action was taken
    :param seed: seed of learners, actions and environments
    """

    name: str
    inner_loop: Mapping[str, object]
    made_for: Returns = field(repr=False)
    grid: GridScores
    held_out: GridScores | None = None
    recipes: RecipeScores | None = None
    task: str | None = None
    n_episodes: int = 1
    deterministic: bool = False
    seed: int = 0

    @property
    def label(self) -> str:
        """Name of the set, and its loop in a few words."""
        return f"{self.name} ({inner_loop_in_words(dict(self.inner_loop))})"

    @property
    def grids(self) -> list[GridScores]:
        """The grid, and the one held out if there is one."""
        return [self.grid] if self.held_out is None else [self.grid, self.held_out]

    def facts(self) -> dict[str, object]:
        """What is to be known of the report, by name."""
        facts: dict[str, object] = {"set": self.label, "task": self.task, "in_distribution": str(self.in_distribution)}
        for scores in self.grids:
            figures = scores.figures
            named = {name: str(figures[name]) for name in ("transfer", "worst", "cvar", "coverage")}
            facts |= {f"{name} on {scores.name}": value for name, value in named.items()}
        protocol = f"{len(self.grid.returns)} learners x {self.n_episodes} episodes a cell"
        return {**facts, "protocol": f"{protocol}, {'greedy' if self.deterministic else 'sampled'} actions"}

    @property
    def made_for_r(self) -> Returns:
        """Normalised returns of learners that the set was made for ``(n, 1)``."""
        return normalised(self.made_for[:, None], float(np.mean(self.grid.untaught)), self.grid.reference)

    def made_for_draws(self) -> Array:
        """The in-distribution return of each draw of a bootstrap ``(n_resamples,)``."""
        return resample(transfer, self.made_for_r, seed=self.seed + 1)  # other draws than those of a grid

    @property
    def in_distribution(self) -> Estimate:
        """Mean normalised return of learners that the set was made for."""
        return interval(float(self.made_for_r.mean()), self.made_for_draws())[0]

    def gap(self, scores: GridScores) -> Estimate:
        """
        :param scores: one of ``grids``
        :return: the in-distribution return minus the transfer to that grid
        """
        draws = self.made_for_draws() - scores.draws["transfer"]
        return interval(float(self.made_for_r.mean() - transfer(scores.r)), draws)[0]

    @cached_property
    def sensitivity(self) -> Sensitivity:
        """What each factor of the architecture changes on the grid."""
        return sensitivity(self.grid.r, self.grid.cells, self.seed)

    def summary(self) -> Json:
        """All figures in JSON form."""
        parts = {"grid": self.grid, "held_out": self.held_out}
        return {
            "name": self.name,
            "task": self.task,
            "inner_loop": dict(self.inner_loop),
            "untaught": np.asarray(self.grid.untaught).tolist(),
            "reference": self.grid.reference,
            "in_distribution": self.in_distribution.summary(),
            **{key: scores and {"gap": self.gap(scores).summary(), **scores.summary()} for key, scores in parts.items()},
            "sensitivity": self.sensitivity.summary(),
            "recipes": self.recipes and self.recipes.summary(),
            "n_learners": len(self.grid.returns),
            "n_episodes": self.n_episodes,
            "deterministic": self.deterministic,
            "seed": self.seed,
        }


def generalisation_report(
    dataset: DatasetLike,
    grid: Grid = "factors",
    held_out: Grid | None = HELD_OUT,
    n_learners: int = 20,
    n_episodes: int = 20,
    deterministic: bool = False,
    inner_loop: InnerLoop | str | None = None,
    reference: float | None = None,
    untaught: Untaught = "task",
    in_distribution: LearnerDistributionLike | None = None,
    recipes: Sequence[Recipe] = (),
    env: EnvSource | None = None,
    max_envs: int | None = None,
    seed: int = 0,
    progress_bar: bool = False,
    policy: str | type[BasePolicy] | None = None,
    policy_kwargs: Mapping[str, object] | None = None,
    device: th.device | str = "cpu",
    allow_imports: Collection[str] = (),
    name: str | None = None,
) -> GeneralisationReport:
    """
    Teach fresh learners of each cell of a grid, let each play, and say how the set serves learners that it was not made for.
    ``docs/generalisation.md`` has the formulas.

    :param dataset: a dataset, a path, or the name of a shipped set
    :param grid: learner distributions by name, or the name or the path of a grid, see ``grids.load_grid``
    :param held_out: another grid, on which nothing is trained, tuned or chosen; ``None`` for none. Who looks at
        ``"random64b"`` and changes something has used it up
    :param n_learners: number of learners of each cell (the in-distribution return has 20 at least)
    :param n_episodes: number of episodes of each
    :param deterministic: whether the most likely action is taken instead of a sampled one
    :param inner_loop: another way of teaching than the dataset's, see ``SyntheticDataset.with_inner_loop``
    :param reference: return that counts as perfect; ``None`` for the mean that the dataset's file records
    :param untaught: return that counts as nothing: ``"task"``, of untaught learners of the policy, measured once; ``"cell"``,
        of untaught learners of each cell; or a number
    :param in_distribution: learners that the set was made for; ``None`` for those that its file names
    :param recipes: ways of ordinary training to try too, on ``recipes.RECIPE_CELLS``
    :param env: see ``evaluate_learners``, as for the parameters that follow
    :param seed: seed of learners, actions, environments and bootstraps: sets with equal seeds are compared pair by pair
    :param name: name of the set in tables; ``None`` for the one it was loaded by, or its task
    :return: the report
    :raises ValueError: if ``held_out`` shares a cell with ``grid`` or with what the set was made for, if there is no reference
        return or it is not above the untaught one, and see ``evaluate_learners``
    :raises TypeError: for a learner that the inner loop cannot teach
    """
    name = name or (str(dataset) if isinstance(dataset, (str, os.PathLike)) else None)
    dataset = SyntheticDataset.of(dataset)
    if inner_loop is not None:
        dataset = dataset.with_inner_loop(inner_loop)
    if isinstance(untaught, str) and untaught not in ("task", "cell"):
        raise ArgumentError(f"`untaught` must be 'task', 'cell' or a return, got {untaught!r}")
    cells, held_out_cells = load_grid(grid), None if held_out is None else load_grid(held_out)
    if held_out_cells is not None:
        check_held_out(dataset, cells, held_out_cells)
    reference = recorded_score(dataset, deterministic) if reference is None else float(reference)
    made_for = learners_made_for(dataset) if in_distribution is None else in_distribution
    measuring = Measuring(
        n_learners, n_episodes, deterministic, env, max_envs, seed, progress_bar, policy, policy_kwargs, device, allow_imports
    )

    def scores_of(which: Grid, cells: Mapping[str, LearnerDistributionLike]) -> GridScores:
        nothing = measuring.grid(dataset, cells, teach=False).mean(axis=0) if untaught == "cell" else task_untaught
        normalised(np.zeros((1, len(cells))), nothing, reference)  # before what takes long
        grid_name = "cells" if isinstance(which, Mapping) else Path(which).stem
        return GridScores(grid_name, cells, measuring.grid(dataset, cells), nothing, reference, seed)

    task_untaught = measure_untaught(dataset, measuring) if isinstance(untaught, str) else float(untaught)
    normalised(np.zeros((1, 1)), task_untaught, reference)
    return GeneralisationReport(
        name or dataset.info.env_id or "dataset",
        dataset.info.inner_loop,
        measuring.learners(dataset, made_for, n_learners=max(FEWEST, n_learners)),
        scores_of(grid, cells),
        None if held_out is None or held_out_cells is None else scores_of(held_out, held_out_cells),
        measure_recipes(dataset, recipes, partial(measuring.grid, dataset, RECIPE_CELLS), task_untaught, reference, seed)
        if recipes
        else None,
        dataset.info.env_id,
        n_episodes,
        deterministic,
        seed,
    )


def measure_untaught(dataset: SyntheticDataset, measuring: Measuring) -> float:
    """
    :param dataset: names policy and task
    :param measuring: how learners are measured
    :return: mean return of learners of the policy, as it initialises itself, that nothing taught
    """
    n_learners = max(FEWEST, measuring.n_learners)
    return float(measuring.learners(dataset, None, teach=False, n_learners=n_learners).mean())


def recorded_score(dataset: SyntheticDataset, deterministic: bool) -> float:
    """
    :param dataset: a dataset
    :param deterministic: whether greedy actions are meant, or sampled ones
    :return: the mean return that its file records for them, or else for the other kind
    :raises ValueError: if it records none
    """
    kinds = ("greedy", "sampled") if deterministic else ("sampled", "greedy")
    for kind in kinds:
        score = dataset.info.scores.get(kind)
        if isinstance(score, Mapping) and isinstance(mean := score.get("mean"), (int, float)):
            return float(mean)
    raise ArgumentError("the dataset's file records no score: pass the return that counts as perfect as `reference`")
