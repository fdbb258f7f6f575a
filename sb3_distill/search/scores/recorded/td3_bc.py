"""
TD3+BC of M actors of one shape at once (Fujimoto & Gu 2021, https://arxiv.org/abs/2106.06860).

TD3 maximises the action value of what the actor does, and a squared error holds the actor near the recorded actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch as th
from gymnasium import spaces

from sb3_distill.arguments import not_negative, share, whole
from sb3_distill.dataset.normalization import Normalization
from sb3_distill.errors import ArgumentError
from sb3_distill.search.policy import ArchitecturePolicy
from sb3_distill.search.scores.networks import initial_actors
from sb3_distill.search.scores.recorded.bc import bounds_of
from sb3_distill.search.scores.recorded.transitions import Transitions
from sb3_distill.search.scores.recorded.twin_critics import TwinCritics, check_action_values
from sb3_distill.search.scores.stacked.acting import StackedActors
from sb3_distill.search.scores.stacked.table import ParameterTable, TableAdam
from sb3_distill.spaces.checks import describe
from sb3_distill.typing import Space

NOISE = 2**56
"""Added to the seed of an actor for the noise of target actions."""


@dataclass(frozen=True)
class TD3BCSettings:
    """
    :param gamma: discount
    :param tau: share of the way that targets go in each step of the actor
    :param policy_noise: standard deviation of the noise of target actions, which are in [-1, 1]
    :param noise_clip: bound of this noise
    :param policy_delay: steps of the action values for one of the actor
    :param alpha: weight of the action value against the squared error
    :raises ValueError: for a number out of range
    """

    gamma: float = 0.99
    tau: float = 0.005
    policy_noise: float = 0.2
    noise_clip: float = 0.5
    policy_delay: int = 2
    alpha: float = 2.5

    def __post_init__(self) -> None:
        whole("policy_delay", self.policy_delay)
        for name in ("gamma", "tau"):
            share(name, getattr(self, name))
        for name in ("policy_noise", "noise_clip", "alpha"):
            not_negative(name, getattr(self, name))


class StackedTD3BC:
    """
    M actors of TD3+BC. A tanh puts their outputs into [-1, 1], which is scaled to the bounds; actions are not drawn.

    :param policy: a policy of the architecture; its parameters are not used
    :param seeds: seed of the networks and of the noise of each actor
    :param transitions: recorded play
    :param learning_rate: step size of Adam
    :param normalization: statistics of observations with which the transitions were made; ``None`` for raw ones
    :param settings: settings
    :raises ValueError: see ``check_td3_bc``
    """

    def __init__(
        self,
        policy: ArchitecturePolicy,
        seeds: Sequence[int],
        transitions: Transitions,
        learning_rate: float,
        normalization: Normalization | None = None,
        settings: TD3BCSettings = TD3BCSettings(),
    ) -> None:
        check_td3_bc(policy.observation_space, policy.action_space)
        self._transitions, self._settings, self._n_steps = transitions, settings, 0
        self._table = ParameterTable({"actor": initial_actors(policy, seeds).groups[0].params})
        self._target = self._table.copy()
        self._adam = TableAdam(self._table, learning_rate)
        self.critics = TwinCritics(policy, seeds, learning_rate)
        self._generators = [th.Generator().manual_seed((seed + NOISE) % 2**63) for seed in seeds]
        self._centre, self._half = bounds_of(policy.action_space)  # type: ignore[arg-type]
        self.actors = StackedActors.of(policy, self._table.parts["actor"], normalization=normalization, squashes=True)

    @property
    def diverged(self) -> th.Tensor:
        """Whether a gradient of an actor or of its action values was not finite at some time ``(M,)``."""
        return self._adam.diverged | self.critics.diverged

    def step(self, rows: th.Tensor) -> dict[str, th.Tensor]:
        """
        :param rows: numbers of the steps of a minibatch of each actor ``(M, b)``
        :return: figures of each actor by name ``(M,)``
        """
        seen, play, settings = self._transitions.seen(rows), self._transitions, self._settings
        assert isinstance(seen, th.Tensor)
        actions = (play.actions[rows] - self._centre) / self._half
        figures = {"q_loss": self.critics.step(seen, actions, self._targets(rows, actions))}
        self._n_steps += 1
        if self._n_steps % settings.policy_delay == 0:
            done = self.actors.network(self.actors.params, seen).tanh()
            values = self.critics.first(seen, done)
            weight = settings.alpha / values.detach().abs().mean(dim=1).clamp(min=1e-8)
            imitation = (done - actions).square().mean(dim=(1, 2))
            self._adam.step(imitation - weight * values.mean(dim=1))
            figures["imitation_loss"] = imitation.detach()
            self._target.follow(self._table, settings.tau)
            self.critics.follow(settings.tau)
        return figures

    @th.no_grad()
    def _targets(self, rows: th.Tensor, actions: th.Tensor) -> th.Tensor:
        """Targets of the action values ``(M, b)``."""
        play, settings = self._transitions, self._settings
        behind = play.seen_behind(rows)
        draws = th.stack([th.randn(actions.shape[1:], generator=generator) for generator in self._generators])
        noise = (settings.policy_noise * draws).clamp(-settings.noise_clip, settings.noise_clip)
        then = (self.actors.network(self._target.parts["actor"], behind).tanh() + noise).clamp(-1, 1)
        return play.rewards[rows] + settings.gamma * play.goes_on[rows] * self.critics.targets(behind, then)


def check_td3_bc(observation_space: Space, action_space: Space) -> None:
    """
    :param observation_space: observation space of recorded play
    :param action_space: action space of recorded play
    :raises ValueError: for actions without bounds, or that are no ``Box``; for observations that are no vectors
    """
    if not isinstance(action_space, spaces.Box):
        raise ArgumentError(f"td3+bc is for actions that are real numbers (Box), got {describe(action_space)}: use iql or bc")
    if not (np.isfinite(action_space.low) & np.isfinite(action_space.high) & (action_space.low < action_space.high)).all():
        raise ArgumentError(f"td3+bc needs actions with finite bounds, got {action_space}: use iql or bc")
    check_action_values(observation_space, action_space)
