"""The outer losses as pure functions."""

from typing import NamedTuple

import torch as th

from sb3_distill.outer_loop.regularizers import weighted_mean


class PolicyLoss(NamedTuple):
    """
    :param loss: Eq. 1, a scalar
    :param approx_kl: Schulman's estimate of the KL divergence from the old to the new policy
    :param clip_fraction: share of the ratios outside the trust region
    """

    loss: th.Tensor
    approx_kl: th.Tensor
    clip_fraction: th.Tensor


def normalize(advantages: th.Tensor) -> th.Tensor:
    """Zero mean and unit standard deviation; a single advantage stays as it is."""
    if advantages.numel() < 2:
        return advantages
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def policy_loss(
    log_prob: th.Tensor,
    old_log_prob: th.Tensor,
    advantages: th.Tensor,
    clip_range: float,
    weights: th.Tensor | None = None,
) -> PolicyLoss:
    """
    Eq. 1 of Wilhelm & Ventura (2025), with log-probabilities summed over action dimensions.

    :param log_prob: of the actions under the policies as they are ``(n,)``
    :param old_log_prob: of the actions when they were taken ``(n,)``
    :param advantages: ``(n,)``
    :param clip_range: the trust region, epsilon
    :param weights: weights of M learners ``(M,)``, of which those of learner 0 come first; ``None`` for 1
    """
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    loss = -weighted_mean(th.min(advantages * ratio, advantages * clipped), weights)
    with th.no_grad():
        approx_kl = ((ratio - 1) - log_ratio).mean()
        clip_fraction = ((ratio - 1).abs() > clip_range).float().mean()
    return PolicyLoss(loss, approx_kl, clip_fraction)


def value_loss(values: th.Tensor, returns: th.Tensor, old_values: th.Tensor, clip_range: float | None) -> th.Tensor:
    """
    Eq. 2 of Wilhelm & Ventura (2025), optionally clipped as in SB3.

    :param values: predicted now ``(n,)``
    :param returns: lambda-returns ``(n,)``
    :param old_values: predicted at the rollout ``(n,)``
    :param clip_range: bound of the change from ``old_values``, in units of the return; ``None`` for no bound
    """
    if clip_range is not None:
        values = old_values + (values - old_values).clamp(-clip_range, clip_range)
    return th.nn.functional.mse_loss(values, returns)
