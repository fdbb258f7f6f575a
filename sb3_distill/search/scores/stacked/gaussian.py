"""Densities of Gaussian actions, written out: PyTorch's distributions refuse a whole batch for one number that is bad."""

import math

import torch as th

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
"""Constant of the normal density."""


def gaussian_log_prob(means: th.Tensor, actions: th.Tensor, log_std: th.Tensor) -> th.Tensor:
    """
    :param means: means ``(..., dimensions)``
    :param actions: actions ``(..., dimensions)``
    :param log_std: logarithms of standard deviations, of a shape that broadcasts
    :return: log-densities ``(...)``, summed over dimensions
    """
    scaled = (actions - means) * (-log_std).exp()
    return -(0.5 * scaled.square() + log_std + HALF_LOG_2PI).sum(dim=-1)


def gaussian_entropy(log_std: th.Tensor) -> th.Tensor:
    """
    :param log_std: logarithms of standard deviations ``(..., dimensions)``
    :return: entropies ``(...)`` in nats, summed over dimensions
    """
    return (log_std + 0.5 + HALF_LOG_2PI).sum(dim=-1)
