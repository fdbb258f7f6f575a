"""Two action values for each of M networks, with targets that follow them slowly."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch as th
from gymnasium import spaces

from sb3_distill.errors import ArgumentError
from sb3_distill.learners.population import Group
from sb3_distill.networks.stacked import StackedNetwork
from sb3_distill.search.policy import ArchitecturePolicy
from sb3_distill.search.scores.networks import initial_actors, initial_critics, template
from sb3_distill.search.scores.stacked.table import ParameterTable, TableAdam
from sb3_distill.spaces.checks import describe
from sb3_distill.spaces.sizes import preprocessed_shape
from sb3_distill.typing import Observations, Params, Space

OFFSETS = (2**58, 2**58 + 2**57)
"""Added to the seed of an actor for its two action values, which shall not begin alike, nor like the actor."""


class TwinCritics:
    """
    Two action values ``Q(s, a)`` for each of M networks, of the architecture of the actors. With ``Discrete`` actions a
    network has an output for each action. With a ``Box`` the action is an input beside the observation.

    :param policy: a policy of the architecture; its parameters are not used
    :param seeds: seed of each pair
    :param learning_rate: step size of Adam
    :raises ValueError: see ``check_action_values``
    """

    def __init__(self, policy: ArchitecturePolicy, seeds: Sequence[int], learning_rate: float) -> None:
        check_action_values(policy.observation_space, policy.action_space)
        self.n, self._is_real = len(seeds), isinstance(policy.action_space, spaces.Box)
        twice = [seed + offset for offset in OFFSETS for seed in seeds]
        group = _with_input(policy, twice) if self._is_real else _with_outputs(policy, twice)
        self._network: StackedNetwork = group.network
        self._table = ParameterTable({"q": group.params})
        self._target = self._table.copy()
        self._adam = TableAdam(self._table, learning_rate)

    @property
    def diverged(self) -> th.Tensor:
        """Whether a gradient of one of a pair was not finite at some time ``(M,)``."""
        return self._adam.diverged.view(2, -1).any(dim=0)

    def step(self, seen: Observations, actions: th.Tensor, targets: th.Tensor) -> th.Tensor:
        """
        One step on the squared error.

        :param seen: preprocessed observations ``(M, b, ...)``
        :param actions: actions ``(M, b, dimensions)``
        :param targets: what both shall say ``(M, b)``
        :return: mean squared error of each pair ``(M,)``, before the step
        """
        losses = (self._values(self._table.parts["q"], seen, actions) - targets).square().mean(dim=2)
        self._adam.step(losses.flatten())
        return losses.detach().mean(dim=0)

    @th.no_grad()
    def targets(self, seen: Observations, actions: th.Tensor) -> th.Tensor:
        """The smaller one of both values of the targets ``(M, b)``; parameters as for ``step``."""
        return self._values(self._target.parts["q"], seen, actions).amin(dim=0)

    def first(self, seen: th.Tensor, actions: th.Tensor) -> th.Tensor:
        """
        :param seen: preprocessed observations ``(M, b, k)``
        :param actions: actions that are real numbers ``(M, b, dimensions)``
        :return: what the first one says ``(M, b)``; differentiable with respect to the actions alone
        """
        params = {name: value[: self.n].detach() for name, value in self._table.parts["q"].items()}
        return self._network(params, th.cat([seen, actions], dim=2)).squeeze(2)

    def follow(self, tau: float) -> None:
        """
        :param tau: share of the way that the targets go to the action values
        """
        self._target.follow(self._table, tau)

    def _values(self, params: Params, seen: Observations, actions: th.Tensor) -> th.Tensor:
        """Both values ``(2, M, b)``."""
        if self._is_real:
            assert isinstance(seen, th.Tensor)
            values = self._network(params, th.cat([seen, actions], dim=2).repeat(2, 1, 1)).squeeze(2)
        else:
            twice = _twice(seen)
            chosen = actions.long().repeat(2, 1, 1)
            values = self._network(params, twice).gather(2, chosen).squeeze(2)
        return values.view(2, self.n, -1)


def check_action_values(observation_space: Space, action_space: Space) -> None:
    """
    :param observation_space: observation space of recorded play
    :param action_space: action space of recorded play
    :raises ValueError: for actions that are neither ``Discrete`` nor a ``Box``, or a ``Box`` beside observations that are no
        vectors: a network could not take both as one
    """
    if isinstance(action_space, spaces.Discrete):
        return
    if not isinstance(action_space, spaces.Box):
        raise ArgumentError(f"action values are for Discrete actions or a Box, got {describe(action_space)}: use bc")
    shape = preprocessed_shape(observation_space)
    if isinstance(shape, dict) or len(shape) != 1:
        raise ArgumentError(
            f"action values of a Box need observations that are vectors, got {describe(observation_space)}: use bc"
        )


def _with_input(policy: ArchitecturePolicy, seeds: Sequence[int]) -> Group:
    """Networks from observation and action to a number."""
    shape = preprocessed_shape(policy.observation_space)
    n_inputs = int(np.prod(shape)) + int(np.prod(policy.action_space.shape))  # type: ignore[arg-type]
    both, one = spaces.Box(-np.inf, np.inf, (n_inputs,)), spaces.Box(-1, 1, (1,))
    return initial_critics(template(policy.architecture, both, one), seeds)


def _with_outputs(policy: ArchitecturePolicy, seeds: Sequence[int]) -> Group:
    """Networks from an observation to a number for each action, whose last layer has the gain of a critic."""
    architecture = dataclasses.replace(policy.architecture, last_gain=1.0)
    return initial_actors(template(architecture, policy.observation_space, policy.action_space), seeds).groups[0]


def _twice(seen: Observations) -> Observations:
    """The same observations for both of a pair ``(2 M, b, ...)``."""
    if isinstance(seen, th.Tensor):
        return th.cat([seen, seen])
    return {key: th.cat([value, value]) for key, value in seen.items()}
