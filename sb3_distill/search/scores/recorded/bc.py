"""Behaviour cloning of M actors of one shape at once."""

from collections.abc import Sequence

import numpy as np
import torch as th
from gymnasium import spaces

from sb3_distill.dataset.normalization import Normalization
from sb3_distill.search.policy import ArchitecturePolicy
from sb3_distill.search.scores.networks import initial_actors
from sb3_distill.search.scores.recorded.transitions import Transitions
from sb3_distill.search.scores.stacked.acting import StackedActors
from sb3_distill.search.scores.stacked.table import ParameterTable, TableAdam
from sb3_distill.trees import length
from sb3_distill.typing import Observations

AT_ONCE = 4_096
"""Steps that actors see at once where no gradient is needed."""


class StackedBC:
    """
    M actors learn to do what was recorded: cross-entropy for choices, squared error for real numbers. Actions that are real
    numbers are then not drawn.

    :param policy: a policy of the architecture; its parameters are not used
    :param seeds: seed of the initial parameters of each actor
    :param transitions: recorded play
    :param learning_rate: step size of Adam
    :param normalization: statistics of observations with which the transitions were made; ``None`` for raw ones
    """

    def __init__(
        self,
        policy: ArchitecturePolicy,
        seeds: Sequence[int],
        transitions: Transitions,
        learning_rate: float,
        normalization: Normalization | None = None,
    ) -> None:
        self._transitions = transitions
        table = ParameterTable({"actor": initial_actors(policy, seeds).groups[0].params})
        self._adam = TableAdam(table, learning_rate)
        self.actors = StackedActors.of(policy, table.parts["actor"], normalization=normalization)

    @property
    def diverged(self) -> th.Tensor:
        """Whether an actor's gradient was not finite at some time ``(M,)``."""
        return self._adam.diverged

    def step(self, rows: th.Tensor) -> dict[str, th.Tensor]:
        """
        :param rows: numbers of the steps of a minibatch of each actor ``(M, b)``
        :return: figures of each actor by name ``(M,)``
        """
        losses = imitation_losses(self.actors, self._transitions.seen(rows), self._transitions.actions[rows]).mean(dim=1)
        self._adam.step(losses)
        return {"loss": losses.detach()}


def imitation_losses(actors: StackedActors, seen: Observations, actions: th.Tensor) -> th.Tensor:
    """
    :param actors: M actors
    :param seen: preprocessed observations ``(M, b, ...)``
    :param actions: recorded actions ``(M, b, dimensions)``
    :return: cross-entropy in nats; for real numbers the squared error in units of the environment, a mean over dimensions
        ``(M, b)``
    """
    outputs = actors.network(actors.params, seen)
    if isinstance(actors.action_space, spaces.Box):
        if actors.squashes:
            centre, half = bounds_of(actors.action_space)
            outputs = centre + half * outputs.tanh()
        return (outputs - actions).square().mean(dim=-1)
    return -actors.log_prob(outputs, actions)


@th.no_grad()
def held_out_loss(actors: StackedActors, transitions: Transitions, rows: th.Tensor) -> th.Tensor:
    """
    :param actors: M actors
    :param transitions: recorded play
    :param rows: numbers of the steps on which all actors are judged ``(n,)``
    :return: mean loss of imitation of each actor ``(M,)``, see ``imitation_losses``
    """
    total = th.zeros(actors.n_actors)
    for part in rows.split(AT_ONCE):
        same = part.expand(actors.n_actors, -1)
        seen = transitions.seen(same)
        assert length(seen) == actors.n_actors
        total += imitation_losses(actors, seen, transitions.actions[same]).sum(dim=1)
    return total / len(rows)


def bounds_of(space: spaces.Box) -> tuple[th.Tensor, th.Tensor]:
    """
    :param space: space of actions with bounds
    :return: centre and half of the range of each number ``(dimensions,)``
    """
    low, high = (th.as_tensor(np.asarray(bound, dtype=np.float32)).flatten() for bound in (space.low, space.high))
    return (low + high) / 2, (high - low) / 2
