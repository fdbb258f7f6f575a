"""
The update of PPO (Schulman et al. 2017, https://arxiv.org/abs/1707.06347) for M policies of one shape at once.

The maths is that of SB3's ``PPO.train`` for each policy: advantages are normalised, and the gradient of actor and critic
together is clipped, policy by policy.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import torch as th
from gymnasium import spaces

from sb3_distill.arguments import not_negative, share, whole
from sb3_distill.errors import ArgumentError
from sb3_distill.networks.anatomy import actor_of, critic_of
from sb3_distill.networks.stacked import StackedNetwork
from sb3_distill.search.policy import ArchitecturePolicy
from sb3_distill.search.scores.networks import initial_actors, initial_critics
from sb3_distill.search.scores.stacked.acting import StackedActors
from sb3_distill.search.scores.stacked.gaussian import gaussian_entropy
from sb3_distill.search.scores.stacked.rollout import Rollout
from sb3_distill.search.scores.stacked.table import ParameterTable, TableAdam
from sb3_distill.trees import map_leaves
from sb3_distill.typing import Observations, Params


@dataclass(frozen=True)
class PPOSettings:
    """
    Arguments of SB3's ``PPO`` by the same names, for one policy.

    :param n_steps: steps of each environment in a rollout
    :param batch_size: transitions of a minibatch of one policy
    :param n_epochs: passes over a rollout
    :param gamma: discount
    :param gae_lambda: weight of later rewards against values
    :param clip_range: how far the ratio of probabilities may go from 1
    :param normalize_advantage: whether the advantages of a minibatch are normalised
    :param ent_coef: weight of the entropy
    :param vf_coef: weight of the critic's loss
    :param max_grad_norm: bound of the norm of a policy's gradient
    :raises ValueError: for a number out of range
    """

    n_steps: int = 64
    batch_size: int = 256
    n_epochs: int = 6
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    normalize_advantage: bool = True
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5

    def __post_init__(self) -> None:
        for name in ("n_steps", "batch_size", "n_epochs"):
            whole(name, getattr(self, name))
        for name in ("gamma", "gae_lambda"):
            share(name, getattr(self, name))
        for name in ("clip_range", "ent_coef", "vf_coef", "max_grad_norm"):
            not_negative(name, getattr(self, name))

    @classmethod
    def of(cls, settings: "PPOSettings | Mapping[str, object] | None") -> "PPOSettings":
        """
        :param settings: settings, or some of them by name; ``None`` for the defaults
        :return: the settings
        :raises ValueError: for a name that there is not, and see the class
        """
        if isinstance(settings, PPOSettings):
            return settings
        known = [field.name for field in fields(cls)]
        if unknown := set(settings or {}) - set(known):
            raise ArgumentError(f"the stacked PPO has no setting {min(unknown)!r}; known are {', '.join(known)}")
        return cls(**(settings or {}))  # type: ignore[arg-type]


class StackedPPO:
    """
    M policies of one architecture in training.

    :param policy: a policy of the architecture; its parameters are not used
    :param seeds: seed of the initial parameters of each policy
    :param settings: settings
    :param learning_rate: step size of Adam, until ``adam.set_rate`` changes it
    :ivar table: the parameters: ``"actor"``, ``"critic"`` without layers that it shares with the actor, and ``"log_std"``
    :ivar actors: how the policies act
    """

    def __init__(self, policy: ArchitecturePolicy, seeds: Sequence[int], settings: PPOSettings, learning_rate: float) -> None:
        self.settings = settings
        shared = {f"features.{name}" for name, _ in actor_of(policy).features.named_parameters()}
        critic = initial_critics(policy, seeds)
        parts: dict[str, Params] = {
            "actor": initial_actors(policy, seeds).groups[0].params,
            "critic": {name: value for name, value in critic.params.items() if name not in shared},
        }
        if isinstance(policy.action_space, spaces.Box):
            n_outputs = parts["actor"]["head.bias"].shape[1]
            parts["log_std"] = {"log_std": th.full((len(seeds), n_outputs), float(policy.log_std_init))}
        self.table = ParameterTable(parts)
        self.adam = TableAdam(self.table, learning_rate, eps=1e-5, max_grad_norm=settings.max_grad_norm)
        actor = self.table.parts["actor"]
        self.log_std = self.table.parts.get("log_std", {}).get("log_std")
        self.actors = StackedActors.of(policy, actor, self.log_std)
        self._critic = StackedNetwork(critic_of(policy))
        self._critic_params = {**{name: actor[name] for name in shared}, **self.table.parts["critic"]}

    def values(self, seen: Observations) -> th.Tensor:
        """
        :param seen: preprocessed observations ``(M, b, ...)``
        :return: what critics expect ``(M, b)``
        """
        return self._critic(self._critic_params, seen).squeeze(-1)

    def log_prob(self, seen: Observations, actions: th.Tensor) -> th.Tensor:
        """
        :param seen: preprocessed observations ``(M, b, ...)``
        :param actions: actions as the policies gave them ``(M, b, dimensions)``
        :return: their log-probabilities ``(M, b)``
        """
        return self.actors.log_prob(self.actors.network(self.actors.params, seen), actions)

    def update(self, rollout: Rollout, orders: Iterable[th.Tensor]) -> None:
        """
        All epochs of one rollout.

        :param rollout: what the policies did, N transitions each
        :param orders: for each epoch the order in which each policy sees its transitions ``(M, N)``
        """
        m, n = rollout.advantages.shape
        tables = map_leaves(lambda leaf: leaf.flatten(0, 1), rollout.observations)
        actions = rollout.actions.flatten(0, 1)
        numbers = th.stack([rollout.log_probs, rollout.advantages, rollout.returns], dim=2).flatten(0, 1)
        first = th.arange(m).unsqueeze(1) * n
        for order in orders:
            for chosen in (order + first).split(self.settings.batch_size, dim=1):
                rows, shape = chosen.flatten(), chosen.shape
                seen = map_leaves(lambda leaf: leaf.index_select(0, rows).unflatten(0, shape), tables)  # noqa: B023
                log_probs, advantages, returns = numbers.index_select(0, rows).view(*shape, 3).unbind(2)
                taken = actions.index_select(0, rows).unflatten(0, shape)
                self.adam.step(self._losses(seen, taken, log_probs, advantages, returns))

    def _losses(
        self, seen: Observations, actions: th.Tensor, old: th.Tensor, advantages: th.Tensor, returns: th.Tensor
    ) -> th.Tensor:
        """The loss of each policy on a minibatch of its own ``(M,)``."""
        settings = self.settings
        if settings.normalize_advantage and advantages.shape[1] > 1:
            spread = advantages.std(dim=1, keepdim=True) + 1e-8
            advantages = (advantages - advantages.mean(dim=1, keepdim=True)) / spread
        outputs = self.actors.network(self.actors.params, seen)
        ratio = (self.actors.log_prob(outputs, actions) - old).exp()
        clipped = ratio.clamp(1 - settings.clip_range, 1 + settings.clip_range)
        gain = th.min(advantages * ratio, advantages * clipped).mean(dim=1)
        losses = settings.vf_coef * (returns - self.values(seen)).square().mean(dim=1) - gain
        return losses - settings.ent_coef * self._entropy(outputs) if settings.ent_coef else losses

    def _entropy(self, outputs: th.Tensor) -> th.Tensor:
        if self.log_std is not None:
            return gaussian_entropy(self.log_std)
        entropy = self.actors.distribution.entropy(outputs.flatten(0, 1))
        assert entropy is not None, "choices have an entropy in closed form"
        return entropy.view(outputs.shape[:2]).mean(dim=1)
