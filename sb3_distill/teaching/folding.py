"""Normalisation of observations as part of a network's first layer."""

import numpy as np
import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from torch import nn

from sb3_distill.dataset.normalization import Normalization
from sb3_distill.networks.anatomy import Network, actor_of, critic_of


def can_fold(policy: BasePolicy, normalization: Normalization) -> bool:
    """Whether actor and critic of a policy begin with a linear layer on the flat observation."""
    return not isinstance(normalization.mean, dict) and begins_with_linear_layers(policy)


def begins_with_linear_layers(policy: BasePolicy) -> bool:
    """Whether the first layers of actor and critic are linear, and see the flat observation."""
    return all(_first_linear(network) is not None for network in _networks(policy))


@th.no_grad()
def fold_into_first_layer(policy: BasePolicy, normalization: Normalization) -> None:
    """
    Change the first linear layers so that the policy takes raw observations. The clipping of the normalisation is lost.

    :param policy: a policy that takes normalised observations, see ``can_fold``; changed in place
    :param normalization: of these observations
    """
    normalization = normalization.with_scale_in_variance()
    scale = th.as_tensor(1 / np.sqrt(np.asarray(normalization.var) + normalization.epsilon)).float().flatten()
    mean = th.as_tensor(np.asarray(normalization.mean)).double().flatten()
    for network in _networks(policy):
        layer = _first_linear(network)
        assert layer is not None
        layer.weight.mul_(scale.to(layer.weight.device))
        # In double precision, since a number that hardly changes has a mean of many standard deviations.
        layer.bias.copy_(layer.bias.double() - layer.weight.double() @ mean.to(layer.weight.device))


def _networks(policy: BasePolicy) -> list[Network]:
    return [actor_of(policy), *([critic_of(policy)] if isinstance(policy, ActorCriticPolicy) else [])]


def _first_linear(network: Network) -> nn.Linear | None:
    for _, module in network.chain() or []:
        if isinstance(module, nn.Linear):
            return module if module.bias is not None else None
        if not isinstance(module, nn.Flatten):
            return None
    return None
