"""Outer losses of supervised tasks: how wrong taught learners are on real examples."""

import torch as th
from torch.nn import functional


def cross_entropy(outputs: th.Tensor, targets: th.Tensor) -> th.Tensor:
    """
    :param outputs: logits ``(M, b, n_classes)``
    :param targets: classes ``(M, b)``
    :return: minus the log-likelihood of each ``(M, b)``, in nats
    """
    return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)


def squared_error(outputs: th.Tensor, targets: th.Tensor, variance: th.Tensor) -> th.Tensor:
    """
    :param outputs: predictions ``(M, b, d)``
    :param targets: numbers ``(M, b, d)``
    :param variance: variance of the targets in the data ``(d,)``
    :return: mean squared error of each, in units of the variance ``(M, b)``
    """
    return ((outputs - targets).square() / variance).mean(dim=-1)


def log_std_loss(outputs: th.Tensor, targets: th.Tensor, log_std: th.Tensor) -> th.Tensor:
    """
    Minus the Gaussian log-likelihood of the errors as a function of their spread alone, so that the spread is learned and
    predictions are not changed by it.

    :param outputs: predictions ``(M, b, d)``
    :param targets: numbers ``(M, b, d)``
    :param log_std: logarithms of standard deviations ``(d,)``
    :return: a scalar
    """
    error = (outputs - targets).detach()
    return (0.5 * error.square() * (-2 * log_std).exp() + log_std).mean()
