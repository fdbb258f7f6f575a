"""Objectives of stacked networks, from their outputs: pure functions. All but the return are to be made small."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch as th


class Batch(NamedTuple):
    """
    What a network is fitted to.

    :param inputs: what the stacked networks see, ``(k, ...)``
    :param labels: ``(k, n_outputs)``
    """

    inputs: th.Tensor
    labels: th.Tensor


Loss: TypeAlias = Callable[[th.Tensor, th.Tensor], th.Tensor]
"""From outputs ``(M, k, A)`` and labels ``(k, A)`` to a loss of each network ``(M,)``."""


def mse(outputs: th.Tensor, labels: th.Tensor) -> th.Tensor:
    """
    The distilled loss, as the inner loop takes it.

    :param outputs: ``(M, k, A)``
    :param labels: ``(k, A)``
    :return: mean squared error of each network ``(M,)``
    """
    return (outputs - labels).square().mean(dim=(1, 2))


def profiled(outputs: th.Tensor, labels: th.Tensor) -> th.Tensor:
    """
    The distilled loss with all that the scale of labels decides left out: ``1 - max(0, cos(f, Y))^2`` of outputs and labels,
    both centred over the outputs of an instance, since a softmax ignores offsets. It is the squared error that the best
    positive common scale of the outputs leaves, over the squared norm of the labels.

    :param outputs: logits ``(M, k, A)``
    :param labels: ``(k, A)``
    :return: from 0 (labels, up to a scale) to 1, ``(M,)``
    """
    centred = (outputs - outputs.mean(dim=2, keepdim=True)).flatten(1)
    target = (labels - labels.mean(dim=1, keepdim=True)).flatten().unsqueeze(0)
    return 1 - th.nn.functional.cosine_similarity(centred, target, dim=1).clamp(min=0).square()


def clipped_surrogate(log_prob: th.Tensor, old: th.Tensor, advantages: th.Tensor, clip_range: float = 0.1) -> th.Tensor:
    """
    PPO's actor loss on actions that one policy took (Schulman et al. 2017, Eq. 7), of which Wilhelm & Ventura drew surfaces.

    :param log_prob: log-probabilities of the actions under M policies ``(M, n)``
    :param old: log-probabilities when they were taken ``(n,)``
    :param advantages: ``(n,)``
    :param clip_range: epsilon
    :return: loss of each policy ``(M,)``
    """
    ratio = (log_prob - old).exp()
    return -th.min(ratio * advantages, ratio.clamp(1 - clip_range, 1 + clip_range) * advantages).mean(dim=1)


def loss_left(initial: th.Tensor, taught: th.Tensor, labels: th.Tensor) -> float:
    """
    What the step leaves of the distilled loss once labels have the scale at which the step ends at its minimum along its own
    line (``alpha* = 1``). With ``D = f_1 - f_0`` the step's change of the outputs, labels ``c Y`` and rate ``r / c`` make the
    same step for small ``f_0``; ``alpha* = 1`` where ``c = |D|^2 / <D, Y>``, and the loss left over the loss of no step is
    ``1 - cos(D, Y)^2``, whatever the scale of the labels was. 1 where the step points away from the labels.

    :param initial: outputs ``f_0`` on the distilled observations ``(k, A)``
    :param taught: outputs ``f_1`` ``(k, A)``
    :param labels: ``Y`` ``(k, A)``
    :return: share of the loss, from 0 to 1
    """
    cos = th.nn.functional.cosine_similarity((taught - initial).flatten().double(), labels.flatten().double(), dim=0)
    return float(1 - cos.clamp(min=0).square())


def rewards_to_go(rewards: th.Tensor, alive: th.Tensor, gamma: float) -> th.Tensor:
    """
    Advantages of the first episodes of many environments: discounted rewards to go, less their mean over all environments
    whose episode is still running at that step.

    :param rewards: ``(T, n)``
    :param alive: whether the first episode of an environment was running ``(T, n)``
    :param gamma: discount factor
    :return: advantages ``(T, n)``, zero where no episode was running
    """
    to_go = th.zeros_like(rewards)
    running = th.zeros_like(rewards[0])
    for t in range(len(rewards) - 1, -1, -1):
        running = alive[t] * (rewards[t] + gamma * running)
        to_go[t] = running
    mean = to_go.sum(dim=1, keepdim=True) / alive.sum(dim=1, keepdim=True).clamp(min=1)
    return (to_go - mean) * alive
