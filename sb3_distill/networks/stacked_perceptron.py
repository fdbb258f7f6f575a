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

import torch as th
from torch import nn
from torch.autograd.function import FunctionCtx, once_differentiable

from sb3_distill.networks.perceptron_layers import ACTIVATIONS, IDENTITY, Layer, LowRank
from sb3_distill.typing import Params

SMALL = 16_384
"""Number of entries below which PyTorch's tanh is as fast as ours, see ``tanh_``."""


def gradient_step(
    layers: list[Layer],
    params: Params,
    observations: th.Tensor,
    labels: th.Tensor,
    rates: th.Tensor,
    factor: th.Tensor | None = None,
) -> Params:
    """
    Rates are the same for all learners; only ``factor`` differs.

    :param layers: layers of the perceptrons, see ``layers_of``
    :param params: stacked parameters ``(M, *shape)`` by name
    :param observations: synthetic observations ``(M, k, n)``
    :param labels: labels ``(k, n_outputs)``, or ``(M, k, n_outputs)`` to have the gradient of each learner apart
    :param rates: step size of each weight and bias in turn, first to last layer ``(2 L,)``. To have the gradient of each
        learner apart, the same row M times ``(M, 2 L)``: only row 0 is read
    :param factor: factor of all rates of a learner ``(M,)``, or ``None`` for 1
    :return: parameters after one step on the mean squared error over ``k * n_outputs`` entries, differentiable once with
        respect to everything
    """
    names = [name for layer in layers for name in (layer.weight, layer.bias)]
    # Shapes only: to compare the rows would cost as much as a layer, and wait for a GPU.
    assert rates.shape in ((len(names),), (len(observations), len(names))), "one rate for each weight and bias"
    step: Callable[..., tuple[th.Tensor, ...]] = _GradientStep.apply
    stepped = step(layers, observations, labels, rates, factor, *(params[name] for name in names))
    return dict(zip(names, stepped, strict=True))


def forward(
    layers: list[Layer], params: Mapping[str, th.Tensor], x: th.Tensor, low_rank: Mapping[str, LowRank] | None = None
) -> th.Tensor:
    """
    The perceptrons' outputs, differentiable once.

    Autograd would keep the input and the output of a tanh; written out, activations are computed in place and half of the
    bookkeeping is gone.

    :param layers: layers of the perceptrons, see ``layers_of``
    :param params: stacked parameters ``(M, *shape)`` by name
    :param x: inputs ``(M, b, n)``
    :param low_rank: weights by name that depend on what is learned through the factors of their change alone. Their gradient
        goes there: it costs ``A / h`` of a product, where that of the weights would cost one
    :return: outputs ``(M, b, n_outputs)``
    """
    if not th.is_grad_enabled():  # acting: called at every step of a rollout, where autograd's bookkeeping would show
        for layer in layers:
            x = _activate(layer, th.baddbmm(params[layer.bias].unsqueeze(1), x, params[layer.weight].mT))
        return x
    apply: Callable[..., th.Tensor] = _Forward.apply
    low_rank = low_rank or {}
    factors = [low_rank.get(layer.weight) for layer in layers]
    kept = next((factor.kept for factor in factors if factor is not None), None)
    tensors = [params[name] for layer in layers for name in (layer.weight, layer.bias)]
    for index, factor in enumerate(factors):
        if factor is not None:
            tensors[2 * index] = tensors[2 * index].detach()
    patterns, rights = [factor and factor.pattern for factor in factors], [factor and factor.right for factor in factors]
    return apply(layers, patterns, x, kept, *tensors, *rights)


def _activate(layer: Layer, a: th.Tensor) -> th.Tensor:
    """The activation of ``a``, which a tanh overwrites: its slope follows from its value."""
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


class _Context(FunctionCtx):
    """What autograd offers to every function, by type."""

    saved_tensors: tuple[th.Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    layers: list[Layer]


class _ForwardContext(_Context):
    """
    :param before: inputs of activations; ``None`` for a tanh, whose slope follows from its output
    :param patterns: left factor of a layer's change ``(A, h)``, or ``None`` where weights have a gradient of their own
    """

    before: list[th.Tensor | None]
    patterns: list[th.Tensor | None]


class _StepContext(_Context):
    """
    :param sizes: step sizes of each weight and bias in turn
    :param scale: factor of errors in the derivative of the loss
    :param factor: factor of all rates of a learner ``(M,)``
    :param slopes: ``f_l'(a_l)``; ``None`` for the identity
    :param error: derivative of the loss with respect to ``h_L``
    :param apart: whether labels, and whether rates, have a gradient for each learner
    """

    sizes: list[float]
    scale: float | th.Tensor
    factor: th.Tensor | None
    slopes: list[th.Tensor | None]
    error: th.Tensor
    apart: tuple[bool, bool]


class _Forward(th.autograd.Function):
    """
    The perceptrons. Weights ``W' = kept W + P^T R`` have no gradient: with ``G`` that of ``a = h W'^T + b``, the gradient for
    ``R`` is ``(G P^T)^T h``, and for ``kept`` it is ``<G, h W^T> = (<G W', h> - <gR, R>) / kept``.
    """

    @staticmethod
    def forward(
        ctx: _ForwardContext,
        layers: list[Layer],
        patterns: list[th.Tensor | None],
        x: th.Tensor,
        kept: th.Tensor | None,
        *tensors: th.Tensor,
    ) -> th.Tensor:
        n, h = len(layers), [x]
        weights, biases, rights = tensors[: 2 * n : 2], tensors[1 : 2 * n : 2], tensors[2 * n :]
        before: list[th.Tensor | None] = []
        for layer, weight, bias in zip(layers, weights, biases, strict=True):
            a = th.baddbmm(bias.unsqueeze(1), h[-1], weight.mT)
            h.append(_activate(layer, a))
            before.append(None if layer.activation is ACTIVATIONS[nn.Tanh] else a)
        ctx.layers, ctx.patterns, ctx.before = layers, patterns, before
        last = h[-1] if layers[-1].activation is not IDENTITY else x
        ctx.save_for_backward(*weights, *rights, kept, *h[:-1], last)  # type: ignore[arg-type]
        return h[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: _ForwardContext, g: th.Tensor) -> tuple[th.Tensor | None, ...]:
        n, saved, needed = len(ctx.layers), ctx.saved_tensors, ctx.needs_input_grad[4:]
        weights, rights, kept, h = saved[:n], saved[n : 2 * n], saved[2 * n], saved[2 * n + 1 :]
        grads: list[th.Tensor | None] = [None] * (3 * n)
        grad_kept: list[th.Tensor] = []
        # Frozen first layers need no products; autograd would skip them by itself.
        lowest = 0 if ctx.needs_input_grad[2] else next((i // 2 for i, need in enumerate(needed) if need), n)
        for index in range(n - 1, lowest - 1, -1):
            activation, pattern = ctx.layers[index].activation, ctx.patterns[index]
            if activation.back is not None:
                g = activation.back(g, ctx.before[index], h[index + 1])
            if needed[2 * index]:
                grads[2 * index] = th.bmm(g.mT, h[index])
            if needed[2 * index + 1]:
                grads[2 * index + 1] = g.sum(dim=1)
            outer = None if pattern is None else th.bmm(pattern.expand(len(g), -1, -1), g.mT)
            if index > lowest or ctx.needs_input_grad[2] or outer is not None:
                g = th.bmm(g, weights[index])
            if outer is not None:
                grads[2 * n + index] = grad_right = th.bmm(outer, h[index])
                grad_kept += [_dot(g, h[index]), -_dot(grad_right, rights[index])]
        grad_x = g if ctx.needs_input_grad[2] else None
        return None, None, grad_x, sum(grad_kept) / kept if grad_kept else None, *grads


def _dot(one: th.Tensor, other: th.Tensor) -> th.Tensor:
    return th.dot(one.flatten(), other.flatten())


class _GradientStep(th.autograd.Function):
    @staticmethod
    def forward(
        ctx: _StepContext,
        layers: list[Layer],
        x: th.Tensor,
        labels: th.Tensor,
        rates: th.Tensor,
        factor: th.Tensor | None,
        *params: th.Tensor,
    ) -> tuple[th.Tensor, ...]:
        # As numbers, rates go into the products below for nothing; as tensors each would be one more operation per parameter.
        # On a GPU `tolist` waits once per step.
        weights, biases, sizes = params[::2], params[1::2], rates.flatten()[: len(params)].tolist()
        a, h = [], [x]  # a[l - 1] is a_l, h[l] is h_l
        for layer, weight, bias in zip(layers, weights, biases, strict=True):
            a.append(th.baddbmm(bias.unsqueeze(1), h[-1], weight.mT))
            h.append(layer.activation.value(a[-1]))
        first = [f.activation.first and f.activation.first(a_l, y) for f, a_l, y in zip(layers, a, h[1:], strict=True)]
        scale: float | th.Tensor = 2 / h[-1][0].numel()
        if factor is not None:  # a factor of a learner's rates is one of its loss, where it costs one product instead of 2 L
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
    @once_differentiable
    def backward(ctx: _StepContext, *outer: th.Tensor) -> tuple[th.Tensor | None, ...]:
        layers, first, sizes, n = ctx.layers, ctx.slopes, ctx.sizes, len(ctx.layers)
        saved = ctx.saved_tensors
        weights, a, h, d = saved[:n], saved[n : 2 * n], saved[2 * n : 3 * n + 1], saved[3 * n + 1 : 4 * n + 1]
        backward = saved[: 4 * n : -1]  # of layers 2 .. L
        grad_w, grad_b = outer[::2], outer[1::2]
        grad_rates, directions = [], []
        da: list[th.Tensor] = []  # da[l - 1] is da_l, dh[l - 1] is dh_l; dh_0 is 0
        dh: list[th.Tensor] = []
        for index in range(n):
            along_w = th.bmm(h[index], grad_w[index].mT)
            along_b = grad_b[index].unsqueeze(1)
            grad_rates += [(d[index] * along_w).sum(dim=(1, 2)), (d[index] * along_b).sum(dim=(1, 2))]
            directions.append(grad_w[index] * sizes[2 * index])
            tangent = th.add(along_w * sizes[2 * index], along_b, alpha=sizes[2 * index + 1])
            if index:
                tangent = th.baddbmm(tangent, dh[-1], weights[index].mT)
            da.append(tangent)
            slope = first[index]
            dh.append(tangent if slope is None else tangent * slope)
        change = dh[-1] * ctx.scale
        bar_a = change if first[-1] is None else change * first[-1]
        bar_a = _add_curvature(bar_a, layers[-1], a[-1], h[-1], da[-1], ctx.error)
        grad_params: list[th.Tensor] = []
        needs_params = any(ctx.needs_input_grad[5:])
        for index in range(n - 1, -1, -1):
            if needs_params:
                curved = th.bmm(bar_a.mT, h[index])
                if index:
                    curved = th.baddbmm(curved, d[index].mT, dh[index - 1])
                grad_params += [grad_b[index] - bar_a.sum(dim=1), grad_w[index] - curved]
            bar_h = th.baddbmm(th.bmm(d[index], directions[index]), bar_a, weights[index])
            if index:
                slope = first[index - 1]
                bar_a = bar_h if slope is None else bar_h * slope
                bar_a = _add_curvature(bar_a, layers[index - 1], a[index - 1], h[index], da[index - 1], backward[index - 1])
        grads = grad_params[::-1] if needs_params else [None] * (2 * n)
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
    """The derivative of ``D`` with respect to ``a`` also goes through the slope, by which ``incoming`` was multiplied."""
    if layer.activation.second is None:
        return bar_a
    return th.addcmul(bar_a, layer.activation.second(a, y) * da, incoming)
