"""
Inner learning, ``Train(lambda, D)`` of the paper, as a pure differentiable function.

Three kinds implement one protocol: gradient steps (the paper: one), a closed-form solve of the last layer, and one of every
layer. A kind declares the numbers that are learned with the dataset (its rates) and trains a population of one shape;
``train`` applies it to all shapes.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeAlias

import torch as th

from sb3_distill.errors import ArgumentError
from sb3_distill.inner_loop.carry import Carry, default_strength
from sb3_distill.inner_loop.gradient_steps import GradientSteps
from sb3_distill.inner_loop.ridge_head import RidgeHead
from sb3_distill.inner_loop.trained import Trained
from sb3_distill.learners.population import Group, Learners
from sb3_distill.networks.stacked import StackedNetwork
from sb3_distill.trees import repeated
from sb3_distill.typing import Json, Observations, Params, Space


class InnerLoop(Protocol):
    """A kind of inner learning."""

    name: ClassVar[str]
    """Value of the argument ``inner_loop`` that selects it."""
    arguments: ClassVar[dict[str, str]]
    """Arguments of ``PPMO`` that it takes, and the names that they have in its constructor."""

    def initial_parameters(self) -> dict[str, th.Tensor]:
        """Start values of the numbers learned together with the dataset, by their names in its file."""

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Lower and upper bounds of these numbers, by name."""

    def train(
        self,
        actor: StackedNetwork,
        params: Params,
        observations: Observations,
        labels: th.Tensor,
        learned: Mapping[str, th.Tensor],
    ) -> Trained:
        """
        A pure function: the loop itself does not change.

        :param actor: the shape of the learners
        :param params: initial parameters ``(M, *shape)``
        :param observations: synthetic observations ``(M, k, *preprocessed shape)``, or a dict of such tensors
        :param labels: ``(k, n_outputs)``
        :param learned: current values of the numbers that ``initial_parameters`` named
        :return: trained parameters, differentiable with respect to all inputs, and a count for the backward pass
        :raises TypeError: for a network that cannot be trained this way
        """

    def rates(self, learned: Mapping[str, th.Tensor]) -> dict[str, float]:
        """The learned numbers in readable form, for the log."""

    def settings(self) -> Json:
        """Arguments of ``make_inner_loop`` that make an equal loop, ``name`` included."""


InnerLoopLike: TypeAlias = InnerLoop | str
"""An inner loop, or its name."""
INNER_LOOPS: dict[str, type[InnerLoop]] = {kind.name: kind for kind in (GradientSteps, RidgeHead, Carry)}
"""Kinds of inner learning by name."""


def make_inner_loop(name: str, **settings: Any) -> InnerLoop:
    """
    :param name: kind, a key of ``INNER_LOOPS``
    :param settings: arguments of its class, as ``settings()`` returns them
    :raises ValueError: for an unknown kind, or settings out of range
    """
    if not isinstance(name, str) or name not in INNER_LOOPS:
        raise ArgumentError(f"unknown `inner_loop` {name!r}; known are {', '.join(INNER_LOOPS)}")
    return INNER_LOOPS[name](**settings)


def default_inner_loop(name: str, action_space: Space) -> InnerLoop:
    """
    :param name: kind, a key of ``INNER_LOOPS``
    :param action_space: the task's
    :return: the loop as it starts for such actions
    :raises ValueError: for an unknown kind
    """
    return make_inner_loop(name, **({"strength": default_strength(action_space)} if name == Carry.name else {}))


def train(
    inner_loop: InnerLoop, learners: Learners, observations: Observations, labels: th.Tensor, learned: Mapping[str, th.Tensor]
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
    groups, counts, low_rank = [], [], []
    for group in learners.groups:
        shared = repeated(observations, group.n_learners)
        trained = inner_loop.train(group.network, group.params, shared, labels, learned)
        groups.append(Group(group.network, trained.params))
        low_rank.append(trained.low_rank)
        counts.append(trained.n_discarded)
    return Learners(groups, learners.encode, learners.n_learners, discarded=counts, low_rank=low_rank)
