"""The smallest change of a linear layer that adds wanted numbers to its outputs, with its derivative written out."""

from collections.abc import Callable
from typing import NamedTuple

import torch as th
from torch.autograd.function import FunctionCtx, once_differentiable

TINY = 1e-12
"""Keeps a system of instances that are all alike from being singular."""


class Change(NamedTuple):
    """
    What is added to a linear layer, and to its outputs.

    :param weight: ``(M, n, A)``, transposed
    :param bias: ``(M, A)``; zero for a layer without one
    :param outputs: ``(M, k, A)``, on the inputs that it was made for
    """

    weight: th.Tensor
    bias: th.Tensor
    outputs: th.Tensor


def smallest_change(inputs: th.Tensor, wanted: th.Tensor, ridge: th.Tensor, has_bias: bool) -> Change:
    """
    Ridge regression of ``wanted`` on ``inputs``: with ``H`` the inputs, centred where there is a bias, and ``E`` what is
    wanted, ``D = H^T (H H^T + lambda mean(diag(H H^T)) I)^-1 E`` is the change of the (transposed) weights, and the bias takes
    the mean of what is left. The smaller of the two equivalent systems is solved, by elimination with
    pivots: on a CPU batched Cholesky factors are slower from 100 instances on, no faster below, and fail where rounding makes
    a nearly singular system indefinite.

    :param inputs: ``(M, k, n)``; M may be 1 where all learners share them
    :param wanted: ``(M, k, A)``, or with M = 1 for all learners
    :param ridge: ``lambda``, ``(1,)``
    :param has_bias: whether the layer has a bias
    :return: the change, differentiable once with respect to all three; its M is that of the larger of both
    """
    shift = wanted.mean(dim=1, keepdim=True) if has_bias else None
    center = inputs.mean(dim=1, keepdim=True) if has_bias else None
    if center is not None and shift is not None:
        inputs, wanted = inputs - center, wanted - shift
    weight, outputs = _SOLVE(inputs, wanted, ridge)
    if center is None or shift is None:
        return Change(weight, th.zeros_like(weight[:, 0]), outputs)
    return Change(weight, (shift - center @ weight).squeeze(1), outputs + shift)


class _Context(FunctionCtx):
    saved_tensors: tuple[th.Tensor, ...]
    is_dual: bool


class _Solve(th.autograd.Function):
    """
    ``D`` and ``H D`` of centred inputs ``H (M, k, n)`` and wanted ``E (M, k, A)``.

    With ``mu = lambda mean(diag(H H^T)) + tiny``, ``C = (E - H D) / mu`` and, for outer gradients ``gD`` and ``gF``,
    ``V = gD + H^T gF`` and ``U = (H^T H + mu I)^-1 V``, the gradients are ``H U`` for E, ``-<U, D>`` for mu, and
    ``(E - H D) U^T + (gF - H U) D^T`` for H, to which the share through ``mu`` is added.
    """

    @staticmethod
    def forward(ctx: _Context, h: th.Tensor, e: th.Tensor, ridge: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        k, n = h.shape[1:]
        ctx.is_dual = k <= n
        system = h @ h.mT if ctx.is_dual else h.mT @ h
        scale = system.diagonal(dim1=1, dim2=2).sum(dim=1) / k
        mu = ridge * scale + TINY
        system.diagonal(dim1=1, dim2=2).add_(mu.unsqueeze(1))
        factors, pivots, _ = th.linalg.lu_factor_ex(system)
        solved = th.linalg.lu_solve(factors, pivots, e if ctx.is_dual else h.mT @ e)
        d = h.mT @ solved if ctx.is_dual else solved
        f = h @ d
        ctx.save_for_backward(h, e, ridge, factors, pivots, d, f, scale, mu)
        return d, f

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad_d: th.Tensor, grad_f: th.Tensor) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        h, e, ridge, factors, pivots, d, f, scale, mu = ctx.saved_tensors
        v = grad_d + h.mT @ grad_f
        if ctx.is_dual:
            hu = th.linalg.lu_solve(factors, pivots, h @ v)
            u = (v - h.mT @ hu) / mu.view(-1, 1, 1)
        else:
            u = th.linalg.lu_solve(factors, pivots, v)
            hu = h @ u
        grad_mu = -(u * d).sum(dim=(1, 2))
        grad_h = (e - f) @ u.mT + (grad_f - hu) @ d.mT
        through_scale = (2 / h.shape[1]) * ridge * grad_mu
        grad_h = th.addcmul(grad_h, through_scale.view(-1, 1, 1), h)
        return _like(grad_h, h), _like(hu, e), (grad_mu * scale).sum().view_as(ridge)


def _like(gradient: th.Tensor, value: th.Tensor) -> th.Tensor:
    """The gradient of a value that is the same for all learners is the sum over learners."""
    return gradient if gradient.shape == value.shape else gradient.sum(dim=0, keepdim=True)


_SOLVE: Callable[[th.Tensor, th.Tensor, th.Tensor], tuple[th.Tensor, th.Tensor]] = _Solve.apply
