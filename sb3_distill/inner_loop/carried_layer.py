"""
One linear layer that carries labels, with its derivative written out.

Autograd can differentiate through the few lines of the definition (``tests/plain_carry.py`` lets it do so), but for
a handful of instances all its time goes into bookkeeping.

Notation, all with a leading dimension M: ``H (k, n)`` are inputs of the layer on the synthetic batch, centred where it has a
bias, ``a = H_0 W^T + b`` its outputs ``(k, h)`` on the inputs as they are, ``s`` their standard deviation, ``E (k, A)`` the
labels, ``P (A, h)`` and ``q (h,)`` constant patterns, ``kept`` and ``added`` numbers, and ``m = added s``. With ``D`` the
ridge regression of ``E`` on ``H``, ``F = H D`` and ``c = -mean(H_0) D``, the layer becomes

    R = m D^T,  W' = kept W + P^T R,  b' = kept b + m (P^T c + q),  and on the synthetic batch a' = kept a + m (F P + q).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch as th
from torch.autograd.function import FunctionCtx, once_differentiable

from sb3_distill.inner_loop.smallest_change import Solved, like, solve, way_back

SMALLEST = 1e-6
"""Standard deviation below which outputs count as constant."""


class Amounts(NamedTuple):
    """
    How much of a layer is kept, and how much is added.

    :param kept: ``1 / sqrt(1 + alpha^2)``, ``(1,)``
    :param added: ``alpha / sqrt(1 + alpha^2)``, ``(1,)``
    :param numbers: both as numbers, which go into products for nothing
    """

    kept: th.Tensor
    added: th.Tensor
    numbers: tuple[float, float]


class Carried(NamedTuple):
    """
    A layer that carries labels.

    :param weight: ``W' (M, h, n)``
    :param bias: ``b' (M, h)``, or ``None``
    :param right: ``R (M, A, n)``, through which alone ``W'`` depends on inputs and labels
    :param outputs: ``a' (M, k, h)``
    """

    weight: th.Tensor
    bias: th.Tensor | None
    right: th.Tensor
    outputs: th.Tensor


def carried_layer(
    x: th.Tensor,
    weight: th.Tensor,
    bias: th.Tensor | None,
    wanted: th.Tensor,
    ridge: th.Tensor,
    amounts: Amounts,
    pattern: th.Tensor,
    offset: th.Tensor | None,
) -> Carried:
    """
    :param x: inputs of the layer ``H_0 (M, k, n)``; M may be 1 where all learners share them
    :param weight: initial weights ``W (M, h, n)``
    :param bias: initial biases ``b (M, h)``, or ``None``
    :param wanted: centred labels ``E^T (1, A, k)``
    :param ridge: ``lambda``, ``(1,)``
    :param amounts: ``kept`` and ``added``
    :param pattern: ``P (A, h)``
    :param offset: ``q (h,)``, or ``None`` for zeros; only for a layer with a bias
    :return: the layer, differentiable once with respect to all tensors but the patterns
    """
    kept, added, numbers = amounts
    right, outputs, *biases = _LAYER(x, weight, bias, wanted, ridge, numbers, kept, added, pattern, offset)
    return Carried(_ASSEMBLE(weight, kept, right, pattern, numbers[0]), biases[0] if biases else None, right, outputs)


class _Context(FunctionCtx):
    saved_tensors: tuple[th.Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    kept: float
    added: float
    pattern: th.Tensor
    offset: th.Tensor | None


class _Layer(th.autograd.Function):
    """``R``, ``a'`` and, for a layer with a bias, ``b'``."""

    @staticmethod
    def forward(
        ctx: _Context,
        x: th.Tensor,
        weight: th.Tensor,
        bias: th.Tensor | None,
        wanted: th.Tensor,
        ridge: th.Tensor,
        amounts: tuple[float, float],
        _kept: th.Tensor,
        _added: th.Tensor,
        pattern: th.Tensor,
        offset: th.Tensor | None,
    ) -> tuple[th.Tensor, ...]:
        ctx.kept, ctx.added = amounts
        ctx.pattern, ctx.offset = pattern, offset
        every = x.expand(len(weight), -1, -1)
        outputs = th.bmm(every, weight.mT) if bias is None else th.baddbmm(bias.unsqueeze(1), every, weight.mT)
        # `var` takes twenty times as long.
        middle = None if bias is None else outputs.mean(dim=(1, 2), keepdim=True)
        deviations = None if middle is None else outputs - middle
        norm = th.linalg.vector_norm(outputs if deviations is None else deviations, dim=(1, 2), keepdim=True)
        amount = norm.mul_(outputs[0].numel() ** -0.5).clamp_(min=SMALLEST).mul_(ctx.added)
        center = None if bias is None else x.mean(dim=1, keepdim=True)
        solved = solve(x if center is None else x - center, wanted, ridge)
        right = amount * solved.weight
        added = (amount * solved.outputs).mT
        taught = th.baddbmm(outputs, added, pattern.expand(len(weight), -1, -1), beta=ctx.kept, out=deviations)
        ctx.save_for_backward(x, weight, bias, wanted, outputs, amount, middle, center, *solved)  # type: ignore[arg-type]
        if center is None or bias is None:
            return right, taught
        mean = th.bmm(right, center.mT.expand(len(weight), -1, -1)).squeeze(2)
        taught_bias = th.addmm(bias, mean, pattern, beta=ctx.kept, alpha=-1)
        if offset is not None:
            taught += amount * offset
            taught_bias += amount.squeeze(2) * offset
        return right, taught, taught_bias

    @staticmethod
    @once_differentiable
    def backward(
        ctx: _Context, grad_right: th.Tensor, grad_taught: th.Tensor, grad_bias: th.Tensor | None = None
    ) -> tuple[th.Tensor | None, ...]:
        x, weight, bias, wanted, outputs, amount, middle, center, *saved = ctx.saved_tensors
        solved = Solved(*saved)
        through_f = th.bmm(ctx.pattern.expand(len(weight), -1, -1), grad_taught.mT)
        grad_d = grad_right
        grad_kept = th.dot(grad_taught.flatten(), outputs.flatten())
        grad_amount = (through_f * solved.outputs).sum(dim=(1, 2), keepdim=True)
        if grad_bias is not None:
            through_c = (grad_bias @ ctx.pattern.mT).unsqueeze(2)
            grad_d = th.addcmul(grad_right, through_c, center, value=-1)
            grad_kept = grad_kept + th.dot(grad_bias.flatten(), bias.flatten())
            if ctx.offset is not None:
                grad_amount = grad_amount + ((grad_bias + grad_taught.sum(dim=1)) @ ctx.offset).view(-1, 1, 1)
        grad_amount = grad_amount + (grad_d * solved.weight).sum(dim=(1, 2), keepdim=True)
        through_solve = way_back(solved, like(amount * grad_d, x), like(amount * through_f, x))
        grad_size = (grad_amount / amount).mul_(ctx.added**2 / outputs[0].numel())
        # In place: of large tensors, fresh memory costs more than the sums.
        grad_outputs = (grad_taught * ctx.kept).addcmul_(grad_size, outputs)
        if middle is not None:
            grad_outputs -= grad_size * middle
        grad_x = through_solve.inputs
        if grad_bias is not None:
            through_center = th.bmm(like(amount * through_c, x).mT, solved.weight)
            grad_x -= (through_center + grad_x.sum(dim=1, keepdim=True)) / x.shape[1]
        if len(x) == len(weight):
            grad_x.baddbmm_(grad_outputs, weight)
        else:  # one product over the units of all learners, not one for each and a sum
            grad_x += grad_outputs.transpose(0, 1).flatten(1) @ weight.flatten(0, 1)
        grad_weight = grad_outputs.mT @ x if ctx.needs_input_grad[1] else None
        grad_b = None if grad_bias is None else th.add(grad_outputs.sum(dim=1), grad_bias, alpha=ctx.kept)
        grad_added = th.dot(grad_amount.flatten(), amount.flatten()) / ctx.added
        grad_e = like(through_solve.wanted, wanted)
        return (
            grad_x,
            grad_weight,
            grad_b,
            grad_e,
            through_solve.ridge,
            None,
            grad_kept.view(1),
            grad_added.view(1),
            None,
            None,
        )


class _Assemble(th.autograd.Function):
    """``W'``, for whoever cannot do with its factors."""

    @staticmethod
    def forward(
        ctx: _Context, weight: th.Tensor, kept: th.Tensor, right: th.Tensor, pattern: th.Tensor, number: float
    ) -> th.Tensor:
        ctx.kept, ctx.pattern = number, pattern
        ctx.save_for_backward(weight)
        return th.baddbmm(weight, pattern.mT.expand(len(weight), -1, -1), right, beta=number)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: th.Tensor) -> tuple[th.Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        grad_weight = grad * ctx.kept if ctx.needs_input_grad[0] else None
        return grad_weight, th.dot(grad.flatten(), weight.flatten()).view(1), ctx.pattern @ grad, None, None


_LAYER: Callable[..., tuple[th.Tensor, ...]] = _Layer.apply
_ASSEMBLE: Callable[..., th.Tensor] = _Assemble.apply
