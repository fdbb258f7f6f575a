"""Layers of multi-layer perceptrons whose derivatives are written out, and activations with their derivatives."""

from collections.abc import Callable
from typing import NamedTuple

import torch as th
from torch import nn


class Activation(NamedTuple):
    """
    An element-wise function with its first two derivatives.

    Derivatives may use the function's value too, which saves computing it again (the slope of a tanh is ``1 - y^2``).

    :param value: ``y = f(a)``
    :param first: slope as a function of ``(a, y)``; ``None`` for the identity
    :param second: second derivative as a function of ``(a, y)``; ``None`` for zero
    :param back: gradient of ``a`` as a function of that of ``y``, ``a`` (``None`` for a tanh, which wrote over it), ``y``
        in one pass; ``None`` for the identity
    """

    value: Callable[[th.Tensor], th.Tensor]
    first: Callable[[th.Tensor, th.Tensor], th.Tensor] | None
    second: Callable[[th.Tensor, th.Tensor], th.Tensor] | None
    back: Callable[[th.Tensor, th.Tensor | None, th.Tensor], th.Tensor] | None


def _silu_second(a: th.Tensor, _: th.Tensor) -> th.Tensor:
    s = a.sigmoid()
    return s * (1 - s) * (2 + a * (1 - 2 * s))


def _silu_first(a: th.Tensor, y: th.Tensor) -> th.Tensor:
    s = a.sigmoid()
    return s + y * (1 - s)


ATEN = th.ops.aten
IDENTITY = Activation(lambda a: a, None, None, None)
ACTIVATIONS: dict[type[nn.Module], Activation] = {
    nn.Tanh: Activation(
        th.tanh, lambda _, y: 1 - y * y, lambda _, y: 2 * y * (y * y - 1), lambda g, _, y: ATEN.tanh_backward(g, y)
    ),
    nn.ReLU: Activation(th.relu, lambda a, _: (a > 0).to(a.dtype), None, lambda g, _, y: ATEN.threshold_backward(g, y, 0)),
    nn.ELU: Activation(
        nn.functional.elu,
        lambda a, y: th.where(a > 0, 1.0, y + 1),
        lambda a, y: th.where(a > 0, 0.0, y + 1),
        lambda g, _, y: ATEN.elu_backward(g, 1, 1, 1, True, y),
    ),
    nn.SiLU: Activation(nn.functional.silu, _silu_first, _silu_second, lambda g, a, _: ATEN.silu_backward(g, a)),
    nn.Identity: IDENTITY,
}


class Layer(NamedTuple):
    """
    One linear layer.

    :param weight: name of its weight matrix
    :param bias: name of its bias
    :param activation: element-wise function that follows
    """

    weight: str
    bias: str
    activation: Activation


class LowRank(NamedTuple):
    """
    How a stack of taught weights ``kept * drawn + pattern^T @ right`` follows from what is learned: by few numbers.

    :param kept: factor of the weights that were drawn, ``(1,)``
    :param right: ``(M, A, n)``
    :param pattern: a constant ``(A, h)``
    """

    kept: th.Tensor
    right: th.Tensor
    pattern: th.Tensor


def layers_of(chain: list[tuple[str, nn.Module]] | None) -> list[Layer] | None:
    """
    :param chain: modules of a network, see ``Network.chain``
    :return: its layers, if it is a multi-layer perceptron whose activations are in ``ACTIVATIONS``, else ``None``
    """
    if chain is None:
        return None
    layers: list[Layer] = []
    for name, module in chain:
        activation = ACTIVATIONS.get(type(module))
        if isinstance(module, nn.Flatten) and not layers:
            continue  # does nothing on flat inputs; callers bring no others
        if isinstance(module, nn.Linear) and module.bias is not None:
            layers.append(Layer(f"{name}.weight", f"{name}.bias", IDENTITY))
        elif layers and activation and layers[-1].activation is IDENTITY and getattr(module, "alpha", 1.0) == 1.0:
            layers[-1] = layers[-1]._replace(activation=activation)
        else:
            return None
    return layers or None
