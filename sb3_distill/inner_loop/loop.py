"""
Inner learning, ``Train(lambda, D)`` of the paper, as a pure differentiable function.

Two kinds stand behind one protocol: gradient steps (the paper: one), and a closed-form solve of the last layer. A kind owns
the numbers that are learned with the dataset (its rates) and says how a population of one shape is trained; ``train``
applies it to all shapes. A new kind is one class and one entry in ``INNER_LOOPS``.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import torch as th

from sb3_distill.errors import ArgumentError
from sb3_distill.inner_loop.gradient_steps import GradientSteps
from sb3_distill.inner_loop.ridge_head import RidgeHead
from sb3_distill.learners.population import Learners
from sb3_distill.networks.stacked import StackedNetwork
from sb3_distill.typing import Params


class InnerLoop(Protocol):
    """A kind of inner learning."""

    name: ClassVar[str]
    arguments: ClassVar[dict[str, str]]
    """Which arguments of ``PPMO`` it takes, and under which names of its own."""

    def initial_parameters(self) -> dict[str, th.Tensor]:
        """The numbers learned together with the dataset, by the name under which its file stores them."""

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Where these numbers are kept."""

    def train(
        self, actor: StackedNetwork, params: Params, observations: Any, labels: th.Tensor, learned: Mapping[str, th.Tensor]
    ) -> Params:
        """
        :param actor: the shape of the learners
        :param params: initial parameters ``(M, *shape)``
        :param observations: synthetic observations ``(M, k, *preprocessed shape)``, or a dict of such tensors
        :param labels: ``(k, n_outputs)``
        :param learned: what ``initial_parameters`` became
        :return: trained parameters, differentiable with respect to all inputs
        :raises TypeError: for a network that cannot be trained this way
        """

    def rates(self, learned: Mapping[str, th.Tensor]) -> dict[str, float]:
        """The learned numbers in readable form, for the log."""

    def caught(self) -> int:
        """How many gradients of single learners were left out since the last call because they were not finite."""

    def settings(self) -> dict[str, Any]:
        """Arguments from which ``make_inner_loop`` makes it again, ``name`` included."""


INNER_LOOPS: dict[str, type[GradientSteps] | type[RidgeHead]] = {kind.name: kind for kind in (GradientSteps, RidgeHead)}


def make_inner_loop(name: str, **settings: Any) -> InnerLoop:
    """
    :param name: kind, a key of ``INNER_LOOPS``
    :param settings: arguments of its class, as ``settings()`` returns them
    :raises ValueError: for an unknown kind, or settings out of range
    """
    if name not in INNER_LOOPS:
        raise ArgumentError(f"unknown `inner_loop` {name!r}; known are {', '.join(INNER_LOOPS)}")
    return INNER_LOOPS[name](**settings)


def train(
    inner_loop: InnerLoop, learners: Learners, observations: Any, labels: th.Tensor, learned: Mapping[str, th.Tensor]
) -> Learners:
    """
    Line 3 and line 12 of Algorithm 1: teach a population of learners the synthetic dataset.

    :param inner_loop: the kind of inner learning
    :param learners: initial learners; they are not changed
    :param observations: synthetic observations ``(k, *preprocessed shape)``, or a dict of such tensors; encoded, if learners
        have an encoder
    :param labels: ``(k, n_outputs)``
    :param learned: the learned numbers of ``inner_loop``
    :return: trained learners, differentiable with respect to observations, labels and learned numbers unless gradients
        are switched off
    :raises TypeError: for a network that cannot be trained this way
    """
    groups = []
    for actor, params in learners.groups:
        m = next(iter(params.values())).shape[0]
        if isinstance(observations, Mapping):
            repeated: Any = {key: value.expand(m, *value.shape) for key, value in observations.items()}
        else:
            repeated = observations.expand(m, *observations.shape)
        groups.append((actor, inner_loop.train(actor, params, repeated, labels, learned)))
    return Learners(groups, learners.encode, learners.n_learners)
