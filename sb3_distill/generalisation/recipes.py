"""
Recipes: ordinary training on the synthetic batch, in place of the loop that it was made for.

People put a dataset into a training loop of their own. What a recipe reaches is in part the recipe's merit, so that what it
reaches on random data is subtracted, as in DD-Ranking (Li et al. 2025, arXiv 2505.13300).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TypeAlias

import numpy as np
import torch as th

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.result import Returns
from sb3_distill.generalisation.bootstrap import Estimate, interval, resample
from sb3_distill.generalisation.metrics import normalised, transfer
from sb3_distill.inner_loop.gradient_steps import finite_or
from sb3_distill.learners.population import Group, Learners
from sb3_distill.trees import map_leaves, repeated
from sb3_distill.typing import Array, Json, Observations

OPTIMIZERS: dict[str, type[th.optim.Optimizer]] = {"sgd": th.optim.SGD, "adam": th.optim.Adam}
"""Optimisers by name. Their steps are element-wise, so that stacked learners are trained as each would be alone."""
RECIPE_CELLS: dict[str, Json] = {
    "gain 0.01": {"init": "orthogonal", "last_gain": 0.01},
    "gain 1": {"init": "orthogonal", "last_gain": 1.0},
    "PyTorch": {"init": "pytorch"},
    "Xavier, gain 1": {"init": "xavier_normal", "last_gain": 1.0},
}
"""Learners that are trained by recipes: four initialisations of the policy's network."""


@dataclass(frozen=True)
class Recipe:
    """
    Full-batch training by the mean squared error.

    :param optimizer: a key of ``OPTIMIZERS``
    :param learning_rate: step size
    :param n_steps: number of steps
    :raises ValueError: for an unknown optimiser, a step size that is not positive, or no steps
    """

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    n_steps: int = 1000

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ArgumentError(f"unknown `optimizer` {self.optimizer!r}; known are {', '.join(OPTIMIZERS)}")
        if not 0 < self.learning_rate < float("inf") or self.n_steps < 1:
            raise ArgumentError(
                f"a recipe needs a positive rate and a step at least, got {self.learning_rate}, {self.n_steps}"
            )

    def __str__(self) -> str:
        return f"{self.optimizer}, {self.learning_rate:g}, {self.n_steps} steps"

    def train(self, dataset: SyntheticDataset, learners: Learners, random_data: int | None = None) -> Learners:
        """
        :param dataset: its batch is what learners are trained on
        :param learners: initial learners; they are not changed
        :param random_data: seed with which each learner gets a random batch instead, see ``random_batch``; ``None``: the
            dataset's
        :return: trained learners; one whose parameters are not finite any more has its initial ones
        """
        encoder = dataset.encoder
        if encoder is not None and learners.encoder_layers is not None:
            learners = Learners(learners.groups, encoder.bind(learners.encoder_layers), learners.n_learners)
        with th.no_grad():
            inputs, labels = dataset.encode(learners.encode), dataset.labels.detach()
        generator = None if random_data is None else th.Generator().manual_seed(random_data)
        groups = []
        for group in learners.groups:
            n = group.n_learners
            batch = (repeated(inputs, n), labels) if generator is None else random_batch(inputs, labels, n, generator)
            groups.append(self._train_group(group, *batch))
        return Learners(groups, learners.encode, learners.n_learners)

    def _train_group(self, group: Group, observations: Observations, labels: th.Tensor) -> Group:
        """Observations ``(m, k, ...)``, labels ``(k, n_outputs)`` or ``(m, k, n_outputs)``."""
        params = {name: value.clone().requires_grad_() for name, value in group.params.items()}
        optimizer = OPTIMIZERS[self.optimizer](params.values(), lr=self.learning_rate)  # type: ignore[call-arg]
        for _ in range(self.n_steps):
            optimizer.zero_grad()
            (group.network(params, observations) - labels).square().mean(dim=(1, 2)).sum().backward()
            optimizer.step()
        trained = {name: value.detach() for name, value in params.items()}
        return Group(group.network, finite_or(trained, group.params))


RECIPES = (Recipe("adam", 1e-3, 100), Recipe("adam", 1e-3, 1000), Recipe("sgd", 0.01, 1000), Recipe("sgd", 0.1, 1000))
"""Recipes that ``--recipes`` tries."""


def random_batch(
    observations: Observations, labels: th.Tensor, n_learners: int, generator: th.Generator
) -> tuple[Observations, th.Tensor]:
    """
    Random data of the size of a dataset, other ones for each learner. Each number of an observation is normal with the mean
    and the standard deviation that it has in the dataset; the labels are the dataset's in a random order. So scales are kept,
    and what belongs together is lost.

    :param observations: ``(k, ...)``, or a dict of such tensors
    :param labels: ``(k, n_outputs)``
    :param n_learners: number of batches
    :param generator: source of randomness (CPU)
    :return: observations ``(n_learners, k, ...)`` and labels ``(n_learners, k, n_outputs)``
    """

    def drawn(value: th.Tensor) -> th.Tensor:
        noise = th.randn((n_learners, *value.shape), generator=generator).to(value)
        return value.mean(dim=0) + noise * value.std(dim=0, correction=0)

    order = th.stack([th.randperm(len(labels), generator=generator) for _ in range(n_learners)])
    return map_leaves(lambda value: drawn(value.detach()), observations), labels.detach()[order.to(labels.device)]


Teach: TypeAlias = Callable[[Learners], Learners]
"""From initial learners to taught ones."""
Measure: TypeAlias = Callable[[Teach], Returns]
"""Mean returns of learners that a function teaches, in each of ``RECIPE_CELLS`` ``(n_learners, n_cells)``."""


@dataclass(frozen=True)
class RecipeScores:
    """
    :param recipes: the recipes
    :param taught: normalised returns of learners trained on the dataset, for each recipe ``(n_learners, n_cells)``
    :param random: those of the same learners, trained on random data
    :param seed: seed of the draws behind intervals
    """

    recipes: Sequence[Recipe]
    taught: Sequence[Returns] = field(repr=False)
    random: Sequence[Returns] = field(repr=False)
    seed: int = 0

    @property
    def score(self) -> float:
        """The recipe-robust score of all recipes, see ``recipe_robust_score``."""
        return recipe_robust_score([(scores.mean(), r.mean()) for scores, r in zip(self.taught, self.random, strict=True)])

    def rows(self) -> dict[str, tuple[Estimate, Estimate, Estimate]]:
        """By recipe: ``r`` on the dataset, on random data, and the difference, with paired intervals."""
        rows = {}
        for recipe, taught, random in zip(self.recipes, self.taught, self.random, strict=True):
            draws = [resample(transfer, scores, seed=self.seed) for scores in (taught, random)]
            values = [float(taught.mean()), float(random.mean())]
            both = zip([*values, values[0] - values[1]], [*draws, draws[0] - draws[1]], strict=True)
            first, second, difference = (interval(value, draw)[0] for value, draw in both)
            rows[str(recipe)] = (first, second, difference)
        return rows

    def summary(self) -> Json:
        """In JSON form."""
        names = ("dataset", "random_data", "improvement")
        rows = [dict(zip(names, (figure.summary() for figure in row), strict=True)) for row in self.rows().values()]
        return {
            "score": self.score,
            "recipes": [{**asdict(recipe), **row} for recipe, row in zip(self.recipes, rows, strict=True)],
        }


def measure_recipes(
    dataset: SyntheticDataset,
    recipes: Sequence[Recipe],
    measure: Measure,
    untaught: float,
    reference: float,
    seed: int = 0,
) -> RecipeScores:
    """
    :param dataset: a dataset
    :param recipes: recipes to try
    :param measure: measures learners
    :param untaught: return of untaught learners
    :param reference: return that counts as perfect
    :param seed: seed of random data
    :return: what each recipe reaches on the dataset, and on random data
    """
    taught, random = [], []
    for recipe in recipes:
        taught.append(normalised(measure(partial(recipe.train, dataset)), untaught, reference))
        random.append(normalised(measure(partial(recipe.train, dataset, random_data=seed)), untaught, reference))
    return RecipeScores(recipes, taught, random, seed)


def recipe_robust_score(pairs: Sequence[tuple[float, float]] | Array, weight: float = 0.5) -> float:
    """
    ``S = 100 (e^a - e^-1) / (e^w - e^-1)`` with ``a`` the mean over recipes of ``w (r - q) - (1 - w) (1 - r)``: ``r`` is the
    normalised return after the recipe on the dataset, ``q`` after the same recipe on random data of its size, both cut to 0 to
    1. ``r - q`` is what the dataset adds to the recipe, ``1 - r`` what is missing to the reference.

    The form is that of DD-Ranking's scores (arXiv 2505.13300), scaled so that the best is 100: every recipe reaches the
    reference, and nothing on random data. 0: no recipe teaches anything, and all of them reach the reference on random data.

    :param pairs: ``r`` and ``q`` of each recipe ``(n, 2)``
    :param weight: ``w``, from 0 to 1
    :return: the score, 0 to 100
    :raises ValueError: if there is no recipe, or ``w`` is out of range
    """
    numbers = np.asarray(pairs, dtype=np.float64).reshape(-1, 2)
    if not len(numbers) or not 0 < weight <= 1:
        raise ArgumentError(f"a recipe at least, and a weight above 0 and at most 1 are needed, got {len(numbers)}, {weight}")
    r, q = np.clip(numbers, 0, 1).T
    a = float(np.mean(weight * (r - q) - (1 - weight) * (1 - r)))
    return float(100 * (np.exp(a) - np.exp(-1)) / (np.exp(weight) - np.exp(-1)))
