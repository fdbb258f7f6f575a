"""How well fresh learners predict that were taught a synthetic dataset."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy

from sb3_distill.arguments import drawn_seed, whole
from sb3_distill.dataset.facts import HasFacts, inner_loop_in_words
from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.evaluation.protocol import copy_on
from sb3_distill.inner_loop.loop import InnerLoopLike
from sb3_distill.learners.distribution import LearnerDistribution, LearnerDistributionLike
from sb3_distill.learners.population import Learners
from sb3_distill.supervised.examples import Data, Examples, as_seen, target_scale
from sb3_distill.supervised.modules.factory import ModuleFactory
from sb3_distill.supervised.modules.sampler import sampler_for
from sb3_distill.typing import Json

AT_ONCE = 2_000
"""Examples that learners see at once, which bounds memory."""


@dataclass(frozen=True, repr=False)
class DataEvaluation(HasFacts):
    """
    :param scores: accuracy of each learner ``(M,)``, in [0, 1]; for regression the coefficient of determination R²
    :param losses: mean negative log-likelihood of each, in nats; for regression the mean squared error
    :param ensemble_score: accuracy, or R², of all learners together: their mean probabilities, or their mean
    :param ensemble_loss: likewise, its loss
    :param is_classes: whether the targets are classes
    :param inner_loop: how the learners were taught; ``None`` if they were not
    """

    scores: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]
    ensemble_score: float
    ensemble_loss: float
    is_classes: bool
    inner_loop: Mapping[str, object] | None = None

    @property
    def mean(self) -> float:
        """Mean accuracy, or R²."""
        return float(self.scores.mean())

    @property
    def std(self) -> float:
        """Standard deviation over learners."""
        return float(self.scores.std())

    def facts(self) -> dict[str, object]:
        """What is to be known of the evaluation, by name."""
        return {
            "accuracy" if self.is_classes else "r2": f"{self.mean:.3f} ± {self.std:.3f}",
            "worst": f"{self.scores.min():.3f}",
            "ensemble": f"{self.ensemble_score:.3f}",
            "learners": len(self.scores),
            "inner_loop": None if self.inner_loop is None else inner_loop_in_words(dict(self.inner_loop)),
        }

    def summary(self) -> Json:
        """All figures in JSON form."""
        return {
            "kind": "accuracy" if self.is_classes else "r2",
            "mean": self.mean,
            "std": self.std,
            "worst": float(self.scores.min()),
            "loss": float(self.losses.mean()),
            "ensemble": self.ensemble_score,
            "ensemble_loss": self.ensemble_loss,
            "n_learners": len(self.scores),
            "inner_loop": None if self.inner_loop is None else dict(self.inner_loop),
        }


@th.no_grad()
def evaluate_supervised(
    dataset: DatasetLike,
    data: Data,
    n_learners: int = 100,
    learner_distribution: LearnerDistributionLike | None = None,
    module: ModuleFactory | None = None,
    policy: str | type[BasePolicy] | None = None,
    policy_kwargs: Mapping[str, Any] | None = None,
    teach: bool | Callable[[Learners], Learners] = True,
    inner_loop: InnerLoopLike | None = None,
    seed: int | None = 0,
    device: th.device | str = "cpu",
    allow_imports: Collection[str] = (),
) -> DataEvaluation:
    """
    Draw learners, teach each the dataset, and let each predict real examples.

    :param dataset: a dataset of labelled examples, or its path
    :param data: examples that the dataset has not seen, see ``Examples.of``
    :param n_learners: number of fresh learners
    :param learner_distribution: distribution to draw from; ``None`` for learners as they initialise themselves
    :param module: makes learners; ``None`` for those of the dataset
    :param policy: SB3 policy whose actor is a learner, instead of a module
    :param policy_kwargs: its arguments
    :param teach: ``False`` leaves learners untaught, for comparison; a function is another way of teaching
    :param inner_loop: another way of teaching than the dataset's
    :param seed: seed of the learners
    :param device: device of the learners
    :param allow_imports: modules that the caller trusts to make the learners that the file names
    :return: scores of each learner, and of all together
    :raises DatasetError: if the dataset names learners that are not to be found
    :raises ValueError: if the data do not fit the dataset, or ``n_learners`` is below 1
    """
    n_learners = whole("n_learners", n_learners)
    dataset = copy_on(device, dataset, inner_loop)
    learners = draw(dataset, n_learners, drawn_seed(seed), learner_distribution, module, policy, policy_kwargs, allow_imports)
    examples = examples_for(dataset, data)
    if teach is True:
        learners = dataset.teach(learners)
    elif callable(teach):
        with th.enable_grad():
            learners = teach(learners)
    outputs = predictions(dataset, learners, examples)
    result = _scores_of_classes if examples.n_classes else _scores_of_numbers
    return result(outputs, examples.targets, dataset.info.inner_loop if teach is True else None)


def draw(
    dataset: SyntheticDataset,
    n_learners: int,
    seed: int,
    learner_distribution: LearnerDistributionLike | None = None,
    module: ModuleFactory | None = None,
    policy: str | type[BasePolicy] | None = None,
    policy_kwargs: Mapping[str, Any] | None = None,
    allow_imports: Collection[str] = (),
) -> Learners:
    """
    :param dataset: a dataset of labelled examples
    :param n_learners: number of learners, each of which may have a shape of its own
    :param seed: seed of the draw
    :return: initial learners; the other arguments are those of ``evaluate_supervised``
    :raises DatasetError: if the dataset names learners that are not to be found
    """
    distribution = replace(LearnerDistribution.parse(learner_distribution), n_shapes=n_learners)
    sampler = sampler_for(dataset, distribution, module, policy, policy_kwargs, allow_imports)
    return sampler.sample(n_learners, th.Generator().manual_seed(seed))


def examples_for(dataset: SyntheticDataset, data: Data) -> Examples:
    """
    :param dataset: a dataset of labelled examples
    :param data: examples, see ``Examples.of``
    :return: the examples, as the dataset's learners predict them
    :raises ValueError: if the data do not fit the dataset
    """
    space = dataset.info.action_space
    examples = Examples.of(data, int(space.n) if isinstance(space, spaces.Discrete) else None)
    examples.check_like(dataset.info.observation_space, space)
    return examples


@th.no_grad()
def predictions(dataset: SyntheticDataset, learners: Learners, examples: Examples) -> th.Tensor:
    """
    :param dataset: holds the statistics of inputs
    :param learners: M taught learners
    :param examples: n examples, as they come
    :return: logits, or predictions in the units of the targets ``(M, n, n_outputs)``
    """
    parts = []
    for part in examples.inputs.split(max(1, AT_ONCE * 20 // max(learners.n_learners, 20))):
        seen = as_seen(dataset.info, part)
        parts.append(learners(seen.to(dataset.labels.device).expand(learners.n_learners, *seen.shape)).cpu())
    std, mean = target_scale(dataset.info)
    return th.cat(parts, dim=1) * std + mean


def _scores_of_classes(outputs: th.Tensor, targets: th.Tensor, inner_loop: Json | None) -> DataEvaluation:
    log_probs = outputs.double().log_softmax(dim=-1)
    together = log_probs.exp().mean(dim=0).clamp(min=1e-300).log()
    rows = th.arange(len(targets))
    return DataEvaluation(
        (log_probs.argmax(dim=-1) == targets).double().mean(dim=1).numpy(),
        -log_probs[:, rows, targets].mean(dim=1).numpy(),
        float((together.argmax(dim=-1) == targets).double().mean()),
        float(-together[rows, targets].mean()),
        True,
        inner_loop,
    )


def scores_of_numbers(values: th.Tensor, targets: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
    """
    :param values: predictions ``(..., n, d)``
    :param targets: numbers ``(n, d)``
    :return: coefficients of determination R² and mean squared errors ``(...)``
    """
    variance = targets.double().var(dim=0, correction=0).clamp(min=1e-12)
    errors = (values.double() - targets.double()).square()
    return 1 - (errors.mean(dim=-2) / variance).mean(dim=-1), errors.mean(dim=(-2, -1))


def _scores_of_numbers(outputs: th.Tensor, targets: th.Tensor, inner_loop: Json | None) -> DataEvaluation:
    each, together = scores_of_numbers(outputs, targets), scores_of_numbers(outputs.mean(dim=0), targets)
    return DataEvaluation(each[0].numpy(), each[1].numpy(), float(together[0]), float(together[1]), False, inner_loop)
