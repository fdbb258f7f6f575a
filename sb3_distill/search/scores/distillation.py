"""Distillation judges architectures: a synthetic batch trains networks, in a tenth of a second and without an environment."""

import copy
import time
from collections.abc import Sequence

import torch as th

from sb3_distill.arguments import whole
from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.ensemble.files.content import hash_of
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.protocol import evaluate_learners
from sb3_distill.generalisation.recipes import Recipe
from sb3_distill.landscape.figures.controls import labels_of_others
from sb3_distill.learners.population import Learners
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.policy import ArchitecturePolicy
from sb3_distill.search.score import Score
from sb3_distill.search.scores.networks import checked_seeds, initial_actors, template
from sb3_distill.trees import repeated
from sb3_distill.typing import Json


class DistillationScore:
    """
    How far a few steps of Adam on a synthetic batch bring a network: minus the mean squared error that is left, in units of
    the labels' variance. 0 is a perfect fit, -1 that of the best constant.

    With labels as they are stored, whose size may be that of sure logits, a few steps show how fast outputs grow, and labels
    in a random order do as well. With labels of unit variance it counts what the set says, unless it has a few instances only
    (``docs/search.md``).

    The networks of all seeds are trained at once. Few steps, at the learning rate of RL, tell how well a network *learns*. A
    fit by many steps tells what a network can represent, which ranks worse.

    :param dataset: a dataset, a path, or the name of a shipped set
    :param n_steps: full-batch steps of Adam, the whole budget
    :param learning_rate: step size, where the architecture names none
    :param unit_variance: whether labels are divided by their standard deviation
    :param name: name in tables and files
    :raises ValueError: if the dataset has an encoder, since its first layers would be those of the dataset; for a number that
        is not positive
    """

    def __init__(
        self, dataset: DatasetLike, n_steps: int = 100, learning_rate: float = 1e-3, unit_variance: bool = True,
        name: str = "distillation",
    ) -> None:  # fmt: skip
        self.dataset, self.budget, self.name = _without_encoder(dataset), whole("n_steps", n_steps), name
        if unit_variance:
            self.dataset = _scaled(self.dataset)
        self.learning_rate = Recipe("adam", learning_rate, 1).learning_rate

    def describe(self) -> Json:
        return {
            "evaluator": "distillation", "n_steps": self.budget, "learning_rate": self.learning_rate,
            "set": hash_of(self.dataset),
        }  # fmt: skip

    def score(self, architecture: PolicyArchitecture, seeds: Sequence[int], budget: int | None = None) -> Score:
        """
        :param architecture: the architecture
        :param seeds: one network for each
        :param budget: number of steps; ``None`` for ``n_steps``
        :return: minus the share of the labels' variance that is left, for each seed; minus infinity for one that diverged
        :raises ValueError: if the architecture does not fit the spaces, or there are no seeds
        """
        start, info = time.perf_counter(), self.dataset.info
        policy = template(architecture, info.observation_space, info.action_space)
        learners = initial_actors(policy, checked_seeds(seeds))
        rate = architecture.rate(self.learning_rate)
        trained = Recipe("adam", rate, self.budget if budget is None else whole("budget", budget)).train(
            self.dataset, learners
        )
        with th.no_grad():
            error = self._error(trained)
        left = th.where(error.isfinite() & ~_are_untrained(learners, trained), -error, -th.inf)
        return Score(tuple(left.tolist()), time.perf_counter() - start)

    def _error(self, learners: Learners) -> th.Tensor:
        """Mean squared error of each learner over the variance of the labels ``(M,)``."""
        labels = self.dataset.labels
        outputs = learners(repeated(self.dataset.encode(learners.encode), learners.n_learners))
        return (outputs - labels).square().mean(dim=(1, 2)) / _variance(labels)


class TaughtScore:
    """
    The return of networks that the dataset has taught by its own loop: what a user gets from the set. It has a ceiling where
    the set teaches every network to perfection.

    :param dataset: a dataset, a path, or the name of a shipped set, which names its environment
    :param n_episodes: episodes of each network, with sampled actions, the whole budget
    :param name: name in tables and files
    :raises ValueError: if the dataset has an encoder, or ``n_episodes`` is below 1
    """

    def __init__(self, dataset: DatasetLike, n_episodes: int = 10, name: str = "taught") -> None:
        self.dataset, self.budget, self.name = _without_encoder(dataset), whole("n_episodes", n_episodes), name

    def describe(self) -> Json:
        return {"evaluator": "taught", "n_episodes": self.budget, "set": hash_of(self.dataset)}

    def score(self, architecture: PolicyArchitecture, seeds: Sequence[int], budget: int | None = None) -> Score:
        """
        :param architecture: the architecture
        :param seeds: one network for each; the first one seeds the draw
        :param budget: number of episodes; ``None`` for ``n_episodes``
        :return: mean return of each network
        :raises ValueError: if the architecture does not fit the spaces, or there are no seeds
        """
        start, n_episodes = time.perf_counter(), self.budget if budget is None else whole("budget", budget)
        seeds = checked_seeds(seeds)
        evaluation = evaluate_learners(
            self.dataset, len(seeds), n_episodes, seed=seeds[0],
            policy=ArchitecturePolicy, policy_kwargs={"architecture": architecture.to_json()},
        )  # fmt: skip
        return Score(tuple(evaluation.learner_means.tolist()), time.perf_counter() - start)


def _are_untrained(initial: Learners, trained: Learners) -> th.Tensor:
    """Which learners have their initial parameters still, as those have whose training diverged ``(M,)``."""
    (before,), (after,) = initial.groups, trained.groups
    same = [(after.params[name] == value).flatten(1).all(dim=1) for name, value in before.params.items()]
    return th.stack(same).all(dim=0)


def _variance(labels: th.Tensor) -> th.Tensor:
    """Variance over instances, the mean over outputs; the mean square for one instance, or labels all alike."""
    variance = (labels - labels.mean(dim=0)).square().mean()
    return variance if variance > 0 else labels.square().mean().clamp(min=1e-12)


def _scaled(dataset: SyntheticDataset) -> SyntheticDataset:
    """A copy with labels of unit variance."""
    dataset = copy.deepcopy(dataset)
    with th.no_grad():
        dataset.labels.div_(_variance(dataset.labels).sqrt())
    return dataset


def shuffled(dataset: DatasetLike, seed: int = 0) -> SyntheticDataset:
    """
    :param dataset: a dataset, a path, or the name of a shipped set
    :param seed: seed of the order
    :return: a copy in which every label belongs to another instance: a control, since the recipe is the same and what belongs
        together is lost
    """
    copied = copy.deepcopy(SyntheticDataset.of(dataset))
    with th.no_grad():
        copied.labels.copy_(labels_of_others(copied.labels, th.Generator().manual_seed(seed)))
    return copied


def _without_encoder(dataset: DatasetLike) -> SyntheticDataset:
    dataset = SyntheticDataset.of(dataset)
    if dataset.encoder is not None:
        raise ArgumentError(
            "the dataset has an encoder, whose layers all learners share, so that their architecture cannot be searched: "
            "distil a set without `encoder_layers`"
        )
    return dataset
