"""Many learners that were taught labelled examples, as one that predicts."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy

from sb3_distill.arguments import drawn_seed, whole
from sb3_distill.dataset.facts import HasFacts, facts_of
from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.probabilities import scores
from sb3_distill.evaluation.protocol import copy_on
from sb3_distill.inner_loop.loop import InnerLoopLike
from sb3_distill.learners.distribution import LearnerDistributionLike
from sb3_distill.learners.population import Learners
from sb3_distill.outer_loop.combination import Combine, check_combine, combined
from sb3_distill.supervised.evaluation import draw, examples_for, predictions, scores_of_numbers
from sb3_distill.supervised.examples import Data, Examples
from sb3_distill.supervised.modules.factory import ModuleFactory
from sb3_distill.typing import Array, Json


class SupervisedEnsemble(HasFacts):
    """
    Modules, or actors of SB3's policies, that were taught a dataset of labelled examples and predict together; make one with
    ``from_dataset``.

    :param dataset: the dataset
    :param members: learners that were taught it
    :param combine: rule of combination
    :param seed: seed that they were drawn with
    """

    def __init__(self, dataset: SyntheticDataset, members: Learners, combine: Combine, seed: int) -> None:
        self.dataset, self.members, self.combine, self.seed = dataset, members, combine, seed

    @classmethod
    def from_dataset(
        cls,
        dataset: DatasetLike,
        n_members: int = 25,
        module: ModuleFactory | None = None,
        policy: str | type[BasePolicy] | None = None,
        policy_kwargs: Mapping[str, Any] | None = None,
        learner_distribution: LearnerDistributionLike | None = None,
        inner_loop: InnerLoopLike | None = None,
        combine: Combine = "probs",
        seed: int | None = 0,
        device: th.device | str = "cpu",
        allow_imports: Collection[str] = (),
    ) -> "SupervisedEnsemble":
        """
        Draw members, and teach all of them at once. They are the learners that ``evaluate_supervised`` draws with that number
        and that seed.

        :param dataset: a dataset of labelled examples, or its path
        :param n_members: number of members
        :param module: makes members; ``None`` for those of the dataset
        :param policy: SB3 policy whose actor is a member, instead of a module
        :param policy_kwargs: its arguments
        :param learner_distribution: distribution to draw from; ``None`` for members as they initialise themselves
        :param inner_loop: another way of teaching than the dataset's
        :param combine: ``"probs"``, the mean of the members' probabilities, or ``"logits"``, the softmax of the mean of their
            logits. Numbers that are predicted are averaged
        :param seed: seed of the members; ``None`` draws one from PyTorch's global generator
        :param device: device of the members
        :param allow_imports: modules that the caller trusts to make the members that the file names
        :return: the ensemble
        :raises DatasetError: if the dataset cannot be loaded, or names members that are not to be found
        :raises ValueError: if ``n_members`` is below 1, the rule is unknown, or the dataset was not made of labelled examples
        """
        n_members, seed, dataset = whole("n_members", n_members), drawn_seed(seed), copy_on(device, dataset, inner_loop)
        if combine is None:
            raise ArgumentError("`combine` must be 'probs' or 'logits', got None")
        check_combine(combine)
        if "n_examples" not in dataset.info.data:
            raise ArgumentError("the dataset was not made of labelled examples: DistilledEnsemble makes an ensemble that acts")
        drawn = draw(dataset, n_members, seed, learner_distribution, module, policy, policy_kwargs, allow_imports)
        with th.no_grad():
            return cls(dataset, dataset.teach(drawn), combine, seed)

    @property
    def n_members(self) -> int:
        """Number of members."""
        return self.members.n_learners

    def facts(self) -> dict[str, object]:
        """What is to be known of the ensemble and the dataset that its members were taught, by name."""
        facts = facts_of(self.dataset.info, self.dataset.n_instances)
        return {**facts, "members": self.n_members, "rule": self.combine}

    def predict(self, inputs: object) -> Array:
        """
        :param inputs: inputs as they come ``(n, *shape)``
        :return: the likeliest classes ``(n,)``, or numbers in the units of the targets ``(n, d)``
        :raises ValueError: for inputs of another shape than the dataset was made for
        :raises FloatingPointError: for NaN or infinite inputs
        """
        outputs = self._outputs(self._checked(inputs))
        return np.asarray(outputs.argmax(dim=-1).numpy() if self._is_of_classes else outputs.numpy())

    def predict_proba(self, inputs: object) -> Array:
        """
        :param inputs: inputs as they come ``(n, *shape)``
        :return: probabilities of the classes ``(n, n_classes)``
        :raises ValueError: for inputs of another shape, or a dataset that predicts numbers
        :raises FloatingPointError: for NaN or infinite inputs
        """
        if not self._is_of_classes:
            raise ArgumentError("the dataset predicts numbers, which have no probabilities: use `predict`")
        return np.asarray(self._outputs(self._checked(inputs)).softmax(dim=-1).numpy())

    def evaluate(self, data: Data) -> Json:
        """
        :param data: examples that the dataset has not seen, see ``Examples.of``
        :return: figures by name: ``"accuracy"``, ``"nll"`` (nats), ``"ece"`` and ``"brier"``, see
            ``evaluation.probabilities``; for numbers ``"r2"`` and ``"mse"``
        :raises ValueError: if the data do not fit the dataset
        """
        examples = examples_for(self.dataset, data)
        outputs = self._outputs(examples)
        if self._is_of_classes:
            return scores(outputs.softmax(dim=-1), examples.targets)
        r2, error = scores_of_numbers(outputs, examples.targets)
        return {"r2": float(r2), "mse": float(error)}

    @property
    def _is_of_classes(self) -> bool:
        return isinstance(self.dataset.info.action_space, spaces.Discrete)

    def _checked(self, inputs: object) -> Examples:
        examples = Examples.unlabelled(inputs)
        examples.check_inputs(self.dataset.info.observation_space)
        return examples

    def _outputs(self, examples: Examples) -> th.Tensor:
        """Logits, in which the probabilities are, or numbers ``(n, n_outputs)``."""
        outputs = predictions(self.dataset, self.members, examples).double()
        return combined(outputs, self.dataset.info.action_space, self.combine)
