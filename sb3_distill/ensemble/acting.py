"""How an ensemble acts: all members see the same observations, and a rule makes one action of their outputs."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.utils import obs_as_tensor
from torch import nn

from sb3_distill.ensemble.rules import centre, choices_of, choose, joined
from sb3_distill.errors import ArgumentError
from sb3_distill.learners.population import Group, Learners
from sb3_distill.networks.action_distribution import ActionDistribution
from sb3_distill.spaces.checks import describe
from sb3_distill.spaces.sizes import n_classes
from sb3_distill.teaching.acting import Actor, normalize
from sb3_distill.trees import map_leaves
from sb3_distill.typing import Array, Observations, RawObservations, Space


class MemberStack(nn.Module):
    """
    Taught learners as one module, whose parameters are theirs. What an encoder computes is computed once for all.

    :param learners: M taught learners
    :param with_latent: whether the inputs of the last layers are needed too (gSDE)
    """

    def __init__(self, learners: Learners, with_latent: bool = False) -> None:
        super().__init__()
        self.with_latent = with_latent
        groups = []
        for index, (network, params) in enumerate(learners.groups):
            own = {name: nn.Parameter(value.detach(), requires_grad=False) for name, value in params.items()}
            for name, value in own.items():
                self.register_parameter(f"{index}/{name}".replace(".", "/"), value)
            groups.append(Group(network, dict(own)))
        self.encode = learners.encode
        self._behind = Learners(groups, None, learners.n_learners)

    @property
    def learners(self) -> Learners:
        """The members, as taught learners that take observations."""
        return Learners(self._behind.groups, self.encode, self._behind.n_learners)

    def forward(self, inputs: Observations) -> tuple[th.Tensor, th.Tensor | None]:
        """
        :param inputs: preprocessed observations ``(b, ...)``, or a dict of such tensors
        :return: outputs of all members ``(M, b, n_outputs)``, and the inputs of their last layers ``(M, b, h)`` or ``None``
        """
        if self.encode is not None:
            inputs = self.encode(inputs)
        n_members = self._behind.n_learners
        shared = map_leaves(lambda value: value.expand(n_members, *value.shape), inputs)
        return self._behind.with_latent(shared) if self.with_latent else (self._behind(shared), None)

    def _apply(self, fn: Callable[[th.Tensor], th.Tensor], recurse: bool = True) -> Self:
        for network, _ in self._behind.groups:  # templates hold running statistics
            network.template._apply(fn)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def act(
    rule: str,
    distribution: ActionDistribution,
    seen: tuple[th.Tensor, th.Tensor | None],
    log_std: th.Tensor | None,
    generator: th.Generator | None,
    masks: th.Tensor | None = None,
) -> th.Tensor:
    """
    :param rule: a key of ``rules.RULES`` that fits the actions
    :param distribution: how actions follow from the outputs of one member
    :param seen: result of a ``MemberStack``
    :param log_std: logarithms of standard deviations ``(n_outputs,)``, for a ``Box``. Under gSDE the ensemble explores as one
        member would, drawn anew for each action
    :param generator: source of randomness of samples (CPU); ``None`` for greedy actions
    :param masks: which choices are allowed ``(b, n_choices)``; ``None`` where all are
    :return: actions as SB3's distributions give them: ``(b,)`` for ``Discrete``, else ``(b, dimensions)``
    """
    (outputs, latent), space = seen, distribution.action_space
    if not isinstance(space, spaces.Box):
        if masks is not None:
            outputs = distribution.masked(outputs, masks)
        return joined([choose(rule, logits, generator) for logits in choices_of(outputs, space)], space)
    mean = centre(rule, outputs)
    if generator is None:
        return distribution.act(mean, None)
    if latent is not None:
        members = th.randint(len(latent), (len(mean),), generator=generator).to(latent.device)
        latent = latent[members, th.arange(len(mean), device=latent.device)]
    noise = distribution.noise(len(mean), generator, None if latent is None else latent.shape[1])
    return distribution.act(mean, noise.to(mean.device), log_std, latent)


def checked_masks(masks: Array, action_space: Space, n: int, device: th.device) -> th.Tensor:
    """
    :param masks: which choices are allowed, one after the other ``(n, n_choices)``, or ``(n_choices,)`` for one observation
    :param action_space: action space of the environment
    :param n: number of observations
    :param device: device of the result
    :return: the masks ``(n, n_choices)``
    :raises ValueError: for masks of another shape, or actions that are no choices
    """
    if isinstance(action_space, spaces.Box):
        raise ArgumentError(f"`action_masks` are for actions that are choices, not for {describe(action_space)}")
    allowed, n_choices = np.asarray(masks, dtype=bool), n_classes(action_space)
    if allowed.size != n * n_choices:
        raise ArgumentError(
            f"`action_masks` must have {n_choices} entries for each of {n} observation{'s' if n > 1 else ''}, got the shape "
            f"{allowed.shape}"
        )
    return th.as_tensor(allowed.reshape(n, n_choices), device=device)


class ActingEnsemble:
    """
    Actions of an ensemble for the observations of environments.

    :param actor: how the members' observations are normalised and preprocessed
    :param stack: the members
    :param rule: a key of ``rules.RULES`` that fits the actions
    :param generator: source of randomness of samples (CPU); ``None`` for greedy actions
    :param masks: function that tells which actions are allowed now ``(b, n_choices)``; ``None`` where all are
    """

    def __init__(
        self, actor: Actor, stack: MemberStack, rule: str, generator: th.Generator | None,
        masks: Callable[[], Array] | None = None,
    ) -> None:  # fmt: skip
        self.actor, self.stack, self.rule = actor, stack, rule
        self.generator, self.masks = generator, masks

    def __call__(self, observations: RawObservations) -> Array:
        """
        :param observations: raw observations ``(b, *obs)``
        :return: actions as the environments take them ``(b, *action)``
        """
        dataset = self.actor.dataset
        raw: Any = normalize(dataset, observations)
        seen = self.stack(self.actor.preprocess(obs_as_tensor(raw, dataset.labels.device)))
        masks, space, device = None, dataset.info.action_space, dataset.labels.device
        if self.masks is not None:
            masks = checked_masks(self.masks(), space, seen[0].shape[1], device)
        actions = act(self.rule, self.actor.distribution, seen, dataset.log_std, self.generator, masks)
        return self.actor.to_env(actions.cpu().numpy())
