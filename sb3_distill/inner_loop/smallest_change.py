"""The smallest change of a linear layer that adds wanted numbers to its outputs, with its derivative written out."""

from collections.abc import Callable
from typing import NamedTuple

import torch as th
from torch.autograd.function import FunctionCtx, once_differentiable

TINY = 1e-12
"""Keeps a system of instances that are all alike from being singular."""


class Change(NamedTuple):
    """
    What is added to a linear layer.

    :param weight: ``(M, A, n)``
    :param bias: ``(M, A)``; zero for a layer without one
    """

    weight: th.Tensor
    bias: th.Tensor


def smallest_change(inputs: th.Tensor, wanted: th.Tensor, ridge: th.Tensor, has_bias: bool) -> Change:
    """
    Ridge regression of ``wanted`` on ``inputs``, see ``solve``. Both are centred where there is a bias, which takes the mean
    of what is left.

    :param inputs: ``(M, k, n)``
    :param wanted: ``(M, k, A)``
    :param ridge: ``lambda``, ``(1,)``
    :param has_bias: whether the layer has a bias
    :return: the change, differentiable once with respect to all three
    """
    wanted = wanted.mT
    if not has_bias:
        weight = _SOLVE(inputs, wanted, ridge)
        return Change(weight, th.zeros_like(weight[..., 0]))
    center, shift = inputs.mean(dim=1, keepdim=True), wanted.mean(dim=2, keepdim=True)
    weight = _SOLVE(inputs - center, wanted - shift, ridge)
    return Change(weight, (shift - th.bmm(weight, center.mT)).squeeze(2))


class Solved(NamedTuple):
    """
    Solved ridge regressions, and what their derivative needs. What has a row for each label has it first: with few labels
    batched products are up to five times as fast in this order.

    :param inputs: ``H (M, k, n)``
    :param ridge: ``lambda``, ``(1,)``
    :param factors: of the system, as ``lu_factor`` returns them, with ``pivots``
    :param scale: ``mean(diag(H H^T))``, ``(M,)``
    :param rest: ``(E - H D)^T (M, A, k)``, what is not fitted; in the dual system ``C^T``, of which it is a multiple
    :param weight: ``D^T (M, A, n)``
    :param outputs: ``(H D)^T (M, A, k)``
    """

    inputs: th.Tensor
    ridge: th.Tensor
    factors: th.Tensor
    pivots: th.Tensor
    scale: th.Tensor
    rest: th.Tensor
    weight: th.Tensor
    outputs: th.Tensor


class Gradients(NamedTuple):
    """
    :param inputs: of ``H (M, k, n)``
    :param wanted: of ``E^T (M, A, k)``
    :param ridge: of ``lambda``, ``(1,)``
    """

    inputs: th.Tensor
    wanted: th.Tensor
    ridge: th.Tensor


def solve(h: th.Tensor, wanted: th.Tensor, ridge: th.Tensor) -> Solved:
    """
    ``D = H^T (H H^T + mu I)^-1 E`` with ``mu = lambda mean(diag(H H^T)) + tiny``: ``D = H^T C`` where ``(H H^T + mu I) C = E``
    (the dual system), or ``(H^T H + mu I) D = H^T E``, whichever is smaller. The system is solved by elimination with pivots:
    on a CPU batched Cholesky factors are slower from 100 instances on, no faster below, and fail where rounding makes a nearly
    singular system indefinite.

    :param h: inputs ``H (M, k, n)``
    :param wanted: ``E^T (M, A, k)``; M may be 1 for all learners
    :param ridge: ``lambda``, ``(1,)``
    """
    k, n = h.shape[1:]
    is_dual = k <= n
    system = th.bmm(h, h.mT) if is_dual else th.bmm(h.mT, h)
    diagonal = system.diagonal(dim1=1, dim2=2)
    scale = diagonal.sum(dim=1) / k
    mu = th.add(ridge * scale, TINY).unsqueeze(1)
    diagonal.add_(mu)
    factors, pivots, _ = th.linalg.lu_factor_ex(system)
    every = wanted.expand(len(h), -1, -1)
    if is_dual:
        c = th.linalg.lu_solve(factors, pivots, every.mT).mT
        return Solved(h, ridge, factors, pivots, scale, c, th.bmm(c, h), th.addcmul(wanted, mu.unsqueeze(2), c, value=-1))
    d = th.linalg.lu_solve(factors, pivots, th.bmm(every, h).mT).mT
    f = th.bmm(d, h.mT)
    return Solved(h, ridge, factors, pivots, scale, wanted - f, d, f)


def way_back(solved: Solved, grad_d: th.Tensor, grad_f: th.Tensor | None = None) -> Gradients:
    """
    For outer gradients ``gD`` and ``gF`` of ``D`` and ``H D``: with ``W = (H H^T + mu I)^-1 (H gD - mu gF)`` in the dual
    system, the gradients are ``gF + W`` for E, ``-<C, gF + W>`` for mu and ``C (gD - H^T W)^T - W D^T`` for H; with
    ``U = (H^T H + mu I)^-1 (gD + H^T gF)`` in the other, they are ``H U``, ``-<U, D>`` and
    ``(E - H D) U^T + (gF - H U) D^T``. The share through ``mu`` is added to that of H.

    :param solved: what ``solve`` returned
    :param grad_d: ``gD^T (M, A, n)``
    :param grad_f: ``gF^T (M, A, k)``, or ``None`` for zeros
    """
    h, ridge, factors, pivots, scale, rest, d, _ = solved
    k, n = h.shape[1:]
    if k <= n:
        inner = th.bmm(grad_d, h.mT)
        if grad_f is not None:
            inner = inner.addcmul_(th.add(ridge * scale, TINY).view(-1, 1, 1), grad_f, value=-1)
        w = th.linalg.lu_solve(factors, pivots, inner.mT).mT
        grad_e = w if grad_f is None else grad_f + w
        grad_mu = -(rest * grad_e).sum(dim=(1, 2))
        u, v = th.baddbmm(grad_d, w, h, alpha=-1), -w
    else:
        u = th.linalg.lu_solve(factors, pivots, (grad_d if grad_f is None else th.baddbmm(grad_d, grad_f, h)).mT).mT
        grad_e = th.bmm(u, h.mT)
        grad_mu = -(u * d).sum(dim=(1, 2))
        v = -grad_e if grad_f is None else grad_f - grad_e
    grad_h = th.bmm(th.cat([rest, v], dim=1).mT, th.cat([u, d], dim=1))
    through_scale = (ridge * grad_mu * (2 / k)).view(-1, 1, 1)
    return Gradients(grad_h.addcmul_(through_scale, h), grad_e, (grad_mu * scale).sum().view_as(ridge))


def like(gradient: th.Tensor, value: th.Tensor) -> th.Tensor:
    """The gradient of a value that is the same for all learners is the sum over learners."""
    return gradient if len(gradient) == len(value) else gradient.sum(dim=0, keepdim=True)


class _Context(FunctionCtx):
    saved_tensors: tuple[th.Tensor, ...]


class _Solve(th.autograd.Function):
    """``D^T (M, A, n)`` of inputs ``H (M, k, n)`` and wanted ``E^T (M, A, k)``, see ``solve``."""

    @staticmethod
    def forward(ctx: _Context, h: th.Tensor, wanted: th.Tensor, ridge: th.Tensor) -> th.Tensor:
        solved = solve(h, wanted, ridge)
        ctx.save_for_backward(*solved)
        return solved.weight

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: th.Tensor) -> Gradients:
        return way_back(Solved(*ctx.saved_tensors), grad)


_SOLVE: Callable[[th.Tensor, th.Tensor, th.Tensor], th.Tensor] = _Solve.apply
