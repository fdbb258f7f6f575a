"""
Implicit Q-learning of M actors of one shape at once (Kostrikov, Nair & Levine 2021, https://arxiv.org/abs/2110.06169).

A value network fits an expectile of the action values of recorded actions: an estimate of the best action that never asks for
the value of an action that was not recorded. The actor imitates actions with weights that grow with their advantage.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch as th
from gymnasium import spaces

from sb3_distill.arguments import not_negative, number, share
from sb3_distill.dataset.normalization import Normalization
from sb3_distill.errors import ArgumentError
from sb3_distill.search.policy import ArchitecturePolicy
from sb3_distill.search.scores.networks import initial_actors, initial_critics
from sb3_distill.search.scores.recorded.transitions import Transitions
from sb3_distill.search.scores.recorded.twin_critics import TwinCritics, check_action_values
from sb3_distill.search.scores.stacked.acting import StackedActors
from sb3_distill.search.scores.stacked.table import ParameterTable, TableAdam
from sb3_distill.typing import Observations, Params


@dataclass(frozen=True)
class IQLSettings:
    """
    :param gamma: discount
    :param tau: share of the way that targets go in each step
    :param expectile: expectile of the action values, between 0 and 1; 0.5 is their mean
    :param temperature: factor of advantages in the exponent of the weights, the paper's ``beta``
    :param largest_weight: bound of a weight
    :raises ValueError: for a number out of range
    """

    gamma: float = 0.99
    tau: float = 0.005
    expectile: float = 0.7
    temperature: float = 3.0
    largest_weight: float = 100.0

    def __post_init__(self) -> None:
        for name in ("gamma", "tau"):
            share(name, getattr(self, name))
        if not 0 < number("expectile", self.expectile) < 1:
            raise ArgumentError(f"`expectile` must be between 0 and 1, got {self.expectile}")
        for name in ("temperature", "largest_weight"):
            not_negative(name, getattr(self, name))


class StackedIQL:
    """
    M actors of IQL, for ``Discrete`` actions and for a ``Box``, where standard deviations are learned and do not depend on
    the state. In a step value network and actor move together, and the action values follow.

    :param policy: a policy of the architecture; its parameters are not used
    :param seeds: seed of the networks of each actor
    :param transitions: recorded play
    :param learning_rate: step size of Adam
    :param normalization: statistics of observations with which the transitions were made; ``None`` for raw ones
    :param settings: settings
    :raises ValueError: see ``check_action_values``
    """

    def __init__(
        self,
        policy: ArchitecturePolicy,
        seeds: Sequence[int],
        transitions: Transitions,
        learning_rate: float,
        normalization: Normalization | None = None,
        settings: IQLSettings = IQLSettings(),
    ) -> None:
        check_action_values(policy.observation_space, policy.action_space)
        self._transitions, self._settings = transitions, settings
        values = initial_critics(policy, seeds)
        parts: dict[str, Params] = {"actor": initial_actors(policy, seeds).groups[0].params, "values": values.params}
        if isinstance(policy.action_space, spaces.Box):
            parts["log_std"] = {"log_std": th.zeros_like(parts["actor"]["head.bias"])}
        self._table = ParameterTable(parts)
        self._adam = TableAdam(self._table, learning_rate)
        self._value_network = values.network
        self.critics = TwinCritics(policy, seeds, learning_rate)
        log_std = self._table.parts.get("log_std", {}).get("log_std")
        self.actors = StackedActors.of(policy, self._table.parts["actor"], log_std, normalization)

    @property
    def diverged(self) -> th.Tensor:
        """Whether a gradient of an actor or of its values was not finite at some time ``(M,)``."""
        return self._adam.diverged | self.critics.diverged

    def step(self, rows: th.Tensor) -> dict[str, th.Tensor]:
        """
        :param rows: numbers of the steps of a minibatch of each actor ``(M, b)``
        :return: figures of each actor by name ``(M,)``
        """
        play, settings = self._transitions, self._settings
        seen, actions = play.seen(rows), play.actions[rows]
        advantages = self.critics.targets(seen, actions) - self._values(seen)
        above = advantages.detach() > 0
        value_loss = (th.where(above, settings.expectile, 1 - settings.expectile) * advantages.square()).mean(dim=1)
        weights = (settings.temperature * advantages.detach()).exp().clamp(max=settings.largest_weight)
        outputs = self.actors.network(self.actors.params, seen)
        actor_loss = (weights * -self.actors.log_prob(outputs, actions)).mean(dim=1)
        self._adam.step(value_loss + actor_loss)
        with th.no_grad():
            behind = self._values(play.seen_behind(rows))
            targets = play.rewards[rows] + settings.gamma * play.goes_on[rows] * behind
        q_loss = self.critics.step(seen, actions, targets)
        self.critics.follow(settings.tau)
        return {"q_loss": q_loss, "value_loss": value_loss.detach(), "actor_loss": actor_loss.detach()}

    def _values(self, seen: Observations) -> th.Tensor:
        """What the value networks expect ``(M, b)``."""
        return self._value_network(self._table.parts["values"], seen).squeeze(2)
