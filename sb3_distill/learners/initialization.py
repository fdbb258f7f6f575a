"""Drawing initial parameters of many actors at once, from one generator."""

import math
from collections.abc import Callable

import torch as th
from torch import nn

from sb3_distill.errors import ArgumentError
from sb3_distill.networks.anatomy import Network
from sb3_distill.typing import Params

Scheme = Callable[[tuple[int, ...], float, th.Generator, th.device], th.Tensor]
"""From a shape ``(M, out, in, ...)``, a gain, a generator (CPU) and a device to M independent weights, there."""
TALL = 4
"""Ratio of rows to columns above which the Cholesky factor of the Gram matrix is accurate enough to replace QR."""


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    receptive_field = math.prod(shape[3:])
    return shape[2] * receptive_field, shape[1] * receptive_field


def orthogonal(shape: tuple[int, ...], gain: float, generator: th.Generator, device: th.device) -> th.Tensor:
    """M (semi-)orthogonal matrices times ``gain``; the law of ``nn.init.orthogonal_`` (Saxe et al. 2013)."""
    m, rows, columns = shape[0], shape[1], math.prod(shape[2:])
    normal = _normal((m, max(rows, columns), min(rows, columns)), generator, device)
    if normal.shape[1] < TALL * normal.shape[2]:
        q, r = th.linalg.qr(normal)
        q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)  # makes the distribution uniform
    else:  # the same, by products of matrices, which are much faster on a GPU
        lower = th.linalg.cholesky(normal.mT @ normal)
        q = normal @ th.linalg.solve_triangular(lower, th.eye(lower.shape[-1], device=device).expand_as(lower), upper=False).mT
    weights: th.Tensor = gain * (q.mT if rows < columns else q).reshape(shape)
    return weights


def _normal(shape: tuple[int, ...], generator: th.Generator, device: th.device) -> th.Tensor:
    return th.randn(shape, generator=generator).to(device)


def _uniform(shape: tuple[int, ...], bound: float, generator: th.Generator, device: th.device) -> th.Tensor:
    return (2 * th.rand(shape, generator=generator) - 1).to(device) * bound


def xavier_normal(shape: tuple[int, ...], gain: float, generator: th.Generator, device: th.device) -> th.Tensor:
    """Normal with variance ``2 gain^2 / (fan_in + fan_out)`` (Glorot & Bengio 2010)."""
    return gain * math.sqrt(2 / sum(_fans(shape))) * _normal(shape, generator, device)


def xavier_uniform(shape: tuple[int, ...], gain: float, generator: th.Generator, device: th.device) -> th.Tensor:
    """Uniform with variance ``2 gain^2 / (fan_in + fan_out)`` (Glorot & Bengio 2010)."""
    return _uniform(shape, gain * math.sqrt(6 / sum(_fans(shape))), generator, device)


def kaiming_normal(shape: tuple[int, ...], gain: float, generator: th.Generator, device: th.device) -> th.Tensor:
    """Normal with variance ``gain^2 / fan_in`` (He et al. 2015)."""
    return gain / math.sqrt(_fans(shape)[0]) * _normal(shape, generator, device)


def kaiming_uniform(shape: tuple[int, ...], gain: float, generator: th.Generator, device: th.device) -> th.Tensor:
    """Uniform with variance ``gain^2 / fan_in`` (He et al. 2015)."""
    return _uniform(shape, gain * math.sqrt(3 / _fans(shape)[0]), generator, device)


SCHEMES: dict[str, Scheme] = {
    scheme.__name__: scheme for scheme in (orthogonal, xavier_normal, xavier_uniform, kaiming_normal, kaiming_uniform)
}
PYTORCH = "pytorch"
"""Name of PyTorch's default for linear and convolutional layers: weights and biases uniform in 1 / sqrt(fan_in)."""
INITIALIZATIONS = (*SCHEMES, PYTORCH)


PLAIN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.LayerNorm)
"""Modules whose parameters a scheme draws; parameters of other modules, derived classes included, may mean anything."""


def is_plain(actor: Network) -> bool:
    """Whether all parameters belong to linear layers, convolutions and layer norms, so that the schemes can draw them."""
    return all(type(module) in PLAIN for module in actor.modules() if list(module.parameters(recurse=False)))


def draw(
    actor: Network, n: int, generator: th.Generator, scheme: str, hidden_gain: float = math.sqrt(2), last_gain: float = 0.01
) -> Params:
    """
    Draw initial parameters for ``n`` actors of one shape.

    :param actor: an actor of the shape to draw
    :param n: number of actors
    :param generator: source of randomness (CPU)
    :param scheme: one of ``INITIALIZATIONS``; biases are zero except under ``"pytorch"``; layer norms start as identity
    :param hidden_gain: gain of all layers but the last; not used by ``"pytorch"``
    :param last_gain: gain of the last layer; not used by ``"pytorch"``
    :return: stacked parameters ``(n, *shape)`` of its ``PLAIN`` modules, on the device of ``actor``
    :raises ValueError: for an unknown scheme
    """
    if scheme not in INITIALIZATIONS:
        raise ArgumentError(f"unknown initialisation {scheme!r}; known are {', '.join(INITIALIZATIONS)}")
    params: Params = {}
    for prefix, module in actor.named_modules():
        if type(module) not in PLAIN:
            continue
        for name, parameter in module.named_parameters(recurse=False):
            shape, device = (n, *parameter.shape), parameter.device
            if isinstance(module, nn.LayerNorm):
                value = th.full(shape, 1.0 if name == "weight" else 0.0, device=device)
            elif scheme == PYTORCH:
                value = _uniform(shape, 1 / math.sqrt(_fans((1, *module.weight.shape))[0]), generator, device)
            elif name == "weight":
                value = SCHEMES[scheme](shape, last_gain if module is actor.head else hidden_gain, generator, device)
            else:
                value = th.zeros(shape, device=device)
            params[f"{prefix}.{name}"] = value
    return params
