"""
One gradient step of M stacked multi-layer perceptrons, with its derivative written out.

Autograd can differentiate through a gradient step (``inner_loop`` does so for every other network), but for a handful of
instances all its time goes into bookkeeping. Here both directions are a few batched products per layer.

Notation, for layer ``l`` of L, all with a leading dimension M: ``h_l = f_l(a_l)``, ``a_l = h_{l-1} W_l^T + b_l``,
``h_0 = X``; ``d_l`` is the derivative of the inner loss with respect to ``a_l``. The step is
``W_l' = W_l - r_l d_l^T h_{l-1}``.
Given the outer gradients ``V_l`` of ``W_l'`` and ``v_l`` of ``b_l'``, the derivative of the step is minus that of
``D = sum_l r_l <V_l, dW_l> + r_l <v_l, db_l>``, which is the directional derivative of the inner loss along ``(r V, r v)``:
a forward pass of tangents (``da_l``, ``dh_l``) and a backward pass through it, in which ``d_l`` appears again.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch as th
from torch import nn

Function3 = Callable[[th.Tensor, th.Tensor], th.Tensor | None]


SMALL = 16_384  # entries


class Activation(NamedTuple):
    """
    An element-wise function ``y = f(a)`` with its first two derivatives as functions of ``(a, y)``; ``None`` means 0, and
    for ``first`` the function is the identity.
    """

    value: Callable[[th.Tensor], th.Tensor]
    first: Callable[[th.Tensor, th.Tensor], th.Tensor] | None
    second: Callable[[th.Tensor, th.Tensor], th.Tensor] | None


def _silu_second(a: th.Tensor, _: th.Tensor) -> th.Tensor:
    s = a.sigmoid()
    return s * (1 - s) * (2 + a * (1 - 2 * s))


def _silu_first(a: th.Tensor, y: th.Tensor) -> th.Tensor:
    s = a.sigmoid()
    return s + y * (1 - s)


IDENTITY = Activation(lambda a: a, None, None)
ACTIVATIONS: dict[type[nn.Module], Activation] = {
    nn.Tanh: Activation(th.tanh, lambda _, y: 1 - y * y, lambda _, y: 2 * y * (y * y - 1)),
    nn.ReLU: Activation(th.relu, lambda a, _: (a > 0).to(a.dtype), None),
    nn.ELU: Activation(nn.functional.elu, lambda a, y: th.where(a > 0, 1.0, y + 1), lambda a, y: th.where(a > 0, 0.0, y + 1)),
    nn.SiLU: Activation(nn.functional.silu, _silu_first, _silu_second),
    nn.Identity: IDENTITY,
}


class Layer(NamedTuple):
    """One linear layer by the names of its parameters, and what follows it."""

    weight: str
    bias: str
    activation: Activation


def layers_of(chain: list[tuple[str, nn.Module]] | None) -> list[Layer] | None:
    """
    :param chain: the modules of a network, see ``Network.chain``
    :return: its layers, if it is a multi-layer perceptron of a known kind on flat inputs
    """
    if chain is None:
        return None
    layers: list[Layer] = []
    for name, module in chain:
        known = ACTIVATIONS.get(type(module))
        if isinstance(module, nn.Flatten) and not layers:
            continue  # nothing to do on flat inputs; others are refused by `fits`
        if isinstance(module, nn.Linear) and module.bias is not None:
            layers.append(Layer(f"{name}.weight", f"{name}.bias", IDENTITY))
        elif layers and known is not None and layers[-1].activation is IDENTITY and getattr(module, "alpha", 1.0) == 1.0:
            layers[-1] = layers[-1]._replace(activation=known)
        else:
            return None
    return layers or None


def gradient_step(
    layers: list[Layer],
    params: dict[str, th.Tensor],
    observations: th.Tensor,
    labels: th.Tensor,
    rates: th.Tensor,
    factor: th.Tensor | None = None,
) -> dict[str, th.Tensor]:
    """
    :param layers: see ``layers_of``
    :param params: stacked parameters ``(M, *shape)``
    :param observations: ``(M, k, n)``
    :param labels: ``(k, n_outputs)``, or ``(M, k, n_outputs)`` to have the gradient of each learner apart
    :param rates: the step size of each weight and bias in turn, first to last layer ``(2 L,)``; or ``(M, 2 L)``, the same for
        all learners, to have the gradient of each apart
    :param factor: by which all rates of a learner are multiplied ``(M,)``
    :return: parameters after one step on the mean squared error over ``k * n_outputs`` entries, differentiable once with
        respect to everything
    """
    names = [name for layer in layers for name in (layer.weight, layer.bias)]
    values = [params[name] for name in names]
    stepped = _GradientStep.apply(layers, observations, labels, rates, factor, *values)  # type: ignore[no-untyped-call]
    return dict(zip(names, stepped, strict=True))


def forward(layers: list[Layer], params: Mapping[str, th.Tensor], x: th.Tensor) -> th.Tensor:
    """
    The perceptrons' outputs, differentiable once, with activations computed in place and half of autograd's work.

    :param layers: see ``layers_of``
    :param params: stacked parameters ``(M, *shape)``
    :param x: inputs ``(M, b, n)``
    :return: outputs ``(M, b, n_outputs)``
    """
    if not th.is_grad_enabled():  # acting: called at every step of a rollout, where autograd's bookkeeping would show
        for layer in layers:
            x = _activate(layer, th.baddbmm(params[layer.bias].unsqueeze(1), x, params[layer.weight].mT))
        return x
    flat = [params[name] for layer in layers for name in (layer.weight, layer.bias)]
    outputs: th.Tensor = _Forward.apply(layers, x, *flat)  # type: ignore[no-untyped-call]
    return outputs


def _activate(layer: Layer, a: th.Tensor) -> th.Tensor:
    """What follows a linear layer; ``a`` is lost where that is a tanh."""
    return tanh_(a) if layer.activation is ACTIVATIONS[nn.Tanh] else layer.activation.value(a)


def tanh_(x: th.Tensor) -> th.Tensor:
    """
    The hyperbolic tangent, in place.

    PyTorch's CPU sigmoid is vectorised and its tanh is not on many builds: for large tensors ``2 sigmoid(2 x) - 1`` is four
    times as fast. The two agree to 1e-7 in float32.
    """
    if x.numel() < SMALL or x.device.type != "cpu":
        return x.tanh_()
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


class _Forward(th.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layers: list[Layer], x: th.Tensor, *params: th.Tensor) -> th.Tensor:
        weights, biases = params[::2], params[1::2]
        before: list[th.Tensor | None] = []  # inputs of activations, where their outputs do not tell the slope
        h = [x]
        for layer, weight, bias in zip(layers, weights, biases, strict=True):
            a = th.baddbmm(bias.unsqueeze(1), h[-1], weight.mT)
            h.append(_activate(layer, a))
            before.append(None if layer.activation is ACTIVATIONS[nn.Tanh] else a)
        ctx.layers, ctx.before = layers, before
        ctx.save_for_backward(*weights, *h[:-1], h[-1] if layers[-1].activation is not IDENTITY else x)
        return h[-1]

    @staticmethod
    @th.autograd.function.once_differentiable
    def backward(ctx: Any, g: th.Tensor) -> tuple[Any, ...]:
        n = len(ctx.layers)
        weights, h = ctx.saved_tensors[:n], ctx.saved_tensors[n:]
        grads: list[Any] = [None] * (2 * n)
        lowest = next((i for i, needed in enumerate(ctx.needs_input_grad[2:]) if needed), 2 * n) // 2
        lowest = 0 if ctx.needs_input_grad[1] else lowest
        for index in range(n - 1, lowest - 1, -1):
            activation, a = ctx.layers[index].activation, ctx.before[index]
            if a is None:
                g = th.ops.aten.tanh_backward(g, h[index + 1])
            elif activation.first is not None:
                g = g * activation.first(a, h[index + 1])
            if ctx.needs_input_grad[2 + 2 * index]:
                grads[2 * index : 2 * index + 2] = th.bmm(g.mT, h[index]), g.sum(dim=1)
            if index > lowest or ctx.needs_input_grad[1]:
                g = th.bmm(g, weights[index])
        return None, g if ctx.needs_input_grad[1] else None, *grads


class _GradientStep(th.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        layers: list[Layer],
        x: th.Tensor,
        labels: th.Tensor,
        rates: th.Tensor,
        factor: th.Tensor | None,
        *params: th.Tensor,
    ) -> tuple[th.Tensor, ...]:
        weights, biases, sizes = params[::2], params[1::2], rates.flatten()[: len(params)].tolist()
        a, h = [], [x]  # a[l - 1] is a_l, h[l] is h_l
        for layer, weight, bias in zip(layers, weights, biases, strict=True):
            a.append(th.baddbmm(bias.unsqueeze(1), h[-1], weight.mT))
            h.append(layer.activation.value(a[-1]))
        first = [f.activation.first and f.activation.first(a_l, y) for f, a_l, y in zip(layers, a, h[1:], strict=True)]
        # A factor of a learner's rates is one of its loss.
        scale: Any = 2 / h[-1][0].numel()
        if factor is not None:
            scale = factor.view(-1, 1, 1) * scale
        error = (h[-1] - labels) * scale
        backward: list[th.Tensor] = []  # d_l W_l, last layer first
        d = [error if first[-1] is None else error * first[-1]]
        for weight, slope in zip(weights[:0:-1], first[-2::-1], strict=True):
            backward.append(d[-1] @ weight)
            d.append(backward[-1] if slope is None else backward[-1] * slope)
        d.reverse()
        stepped = []
        for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            stepped.append(th.baddbmm(weight, d[index].mT, h[index], alpha=-sizes[2 * index]))
            stepped.append(th.add(bias, d[index].sum(dim=1), alpha=-sizes[2 * index + 1]))
        ctx.layers, ctx.sizes, ctx.scale, ctx.factor = layers, sizes, scale, factor
        ctx.slopes, ctx.apart = first, (labels.dim() == 3, rates.dim() == 2)
        ctx.save_for_backward(*weights, *a, *h, *d, *backward)
        ctx.error = error
        return tuple(stepped)

    @staticmethod
    @th.autograd.function.once_differentiable
    def backward(ctx: Any, *outer: th.Tensor) -> tuple[Any, ...]:
        layers, first, sizes, n = ctx.layers, ctx.slopes, ctx.sizes, len(ctx.layers)
        saved = ctx.saved_tensors
        weights, a, h, d = saved[:n], saved[n : 2 * n], saved[2 * n : 3 * n + 1], saved[3 * n + 1 : 4 * n + 1]
        backward = saved[: 4 * n : -1]  # of layers 2 .. L
        grad_w, grad_b = outer[::2], outer[1::2]
        grad_rates, directions, da = [], [], []
        dh: list[Any] = [None]
        for index in range(n):
            along_w = th.bmm(h[index], grad_w[index].mT)
            along_b = grad_b[index].unsqueeze(1)
            grad_rates += [(d[index] * along_w).sum(dim=(1, 2)), (d[index] * along_b).sum(dim=(1, 2))]
            directions.append(grad_w[index] * sizes[2 * index])
            tangent = th.add(along_w * sizes[2 * index], along_b, alpha=sizes[2 * index + 1])
            if index:
                tangent = th.baddbmm(tangent, dh[-1], weights[index].mT)
            da.append(tangent)
            dh.append(tangent if first[index] is None else tangent * first[index])
        change = dh[-1] * ctx.scale
        bar_a = change if first[-1] is None else change * first[-1]
        bar_a = _add_curvature(bar_a, layers[-1], a[-1], h[-1], da[-1], ctx.error)
        grad_params: list[th.Tensor] = []
        needs_params = any(ctx.needs_input_grad[5:])
        for index in range(n - 1, -1, -1):
            if needs_params:
                curved = th.bmm(bar_a.mT, h[index])
                if index:
                    curved = th.baddbmm(curved, d[index].mT, dh[index])
                grad_params += [grad_b[index] - bar_a.sum(dim=1), grad_w[index] - curved]
            bar_h = th.baddbmm(th.bmm(d[index], directions[index]), bar_a, weights[index])
            if index:
                slope = first[index - 1]
                bar_a = bar_h if slope is None else bar_h * slope
                bar_a = _add_curvature(bar_a, layers[index - 1], a[index - 1], h[index], da[index - 1], backward[index - 1])
        grads: list[Any] = grad_params[::-1] if needs_params else [None] * (2 * n)
        rates = -th.stack(grad_rates, dim=1)
        factor = None if ctx.factor is None else rates @ rates.new_tensor(sizes) / ctx.factor
        if not ctx.apart[0]:
            change = change.sum(dim=0)
        if not ctx.apart[1]:
            rates = rates.sum(dim=0)
        return None, -bar_h, change, rates, factor, *grads


def _add_curvature(
    bar_a: th.Tensor, layer: Layer, a: th.Tensor, y: th.Tensor, da: th.Tensor, incoming: th.Tensor
) -> th.Tensor:
    if layer.activation.second is None:
        return bar_a
    return th.addcmul(bar_a, layer.activation.second(a, y) * da, incoming)
