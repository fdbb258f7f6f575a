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


class Solved(NamedTuple):
    """
    Solved ridge regressions, and what their derivative needs.

    :param inputs: ``H (M, k, n)``, or M = 1
    :param ridge: ``lambda``, ``(1,)``
    :param factors: of the system, as ``lu_factor`` returns them, with ``pivots``
    :param scale: ``mean(diag(H H^T))``, ``(M,)``
    :param rest: ``E - H D (M, k, A)``, what is not fitted; in the dual system ``C``, of which it is a multiple
    :param weight: ``D (M, n, A)``
    :param outputs: ``H D (M, k, A)``
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
    :param inputs: of ``H``, in its shape
    :param wanted: of ``E (M, k, A)``
    :param ridge: of ``lambda``, ``(1,)``
    """

    inputs: th.Tensor
    wanted: th.Tensor
    ridge: th.Tensor


def solve(h: th.Tensor, e: th.Tensor, ridge: th.Tensor) -> Solved:
    """
    With ``mu = lambda mean(diag(H H^T)) + tiny``, ``D = H^T C`` where ``(H H^T + mu I) C = E`` (the dual system), or
    ``(H^T H + mu I) D = H^T E``, whichever is smaller.

    :param h: centred inputs ``H (M, k, n)``
    :param e: wanted ``E (M, k, A)``
    :param ridge: ``lambda``, ``(1,)``
    """
    k, n = h.shape[1:]
    is_dual = k <= n
    system = h @ h.mT if is_dual else h.mT @ h
    diagonal = system.diagonal(dim1=1, dim2=2)
    scale = diagonal.sum(dim=1) / k
    mu = th.add(ridge * scale, TINY).unsqueeze(1)
    diagonal.add_(mu)
    factors, pivots, _ = th.linalg.lu_factor_ex(system)
    if is_dual:
        c = th.linalg.lu_solve(factors, pivots, e.expand(len(h), -1, -1))
        return Solved(h, ridge, factors, pivots, scale, c, h.mT @ c, th.addcmul(e, mu.unsqueeze(2), c, value=-1))
    d = th.linalg.lu_solve(factors, pivots, h.mT @ e)
    f = h @ d
    return Solved(h, ridge, factors, pivots, scale, e - f, d, f)


def way_back(solved: Solved, grad_d: th.Tensor, grad_f: th.Tensor) -> Gradients:
    """
    For outer gradients ``gD`` and ``gF`` of ``D`` and ``H D``: with ``W = (H H^T + mu I)^-1 (H gD - mu gF)`` in the dual
    system, the gradients are ``gF + W`` for E, ``-<C, gF + W>`` for mu and ``C (gD - H^T W)^T - W D^T`` for H; with
    ``U = (H^T H + mu I)^-1 (gD + H^T gF)`` in the other, they are ``H U``, ``-<U, D>`` and
    ``(E - H D) U^T + (gF - H U) D^T``. The share through ``mu`` is added to that of H.

    :param solved: what ``solve`` returned
    :param grad_d: ``(M, n, A)``
    :param grad_f: ``(M, k, A)``
    """
    h, ridge, factors, pivots, scale, rest, d, _ = solved
    k, n = h.shape[1:]
    if k <= n:
        mu = th.add(ridge * scale, TINY).view(-1, 1, 1)
        w = th.linalg.lu_solve(factors, pivots, th.addcmul(h @ grad_d, mu, grad_f, value=-1))
        grad_e = grad_f + w
        grad_mu = -(rest * grad_e).sum(dim=(1, 2))
        u, v = grad_d - h.mT @ w, -w
    else:
        u = th.linalg.lu_solve(factors, pivots, grad_d + h.mT @ grad_f)
        grad_e = h @ u
        grad_mu = -(u * d).sum(dim=(1, 2))
        v = grad_f - grad_e
    through_scale = (ridge * grad_mu * (2 / k)).view(-1, 1, 1)
    grad_h = th.cat([rest, v], dim=2) @ th.cat([u, d], dim=2).mT
    return Gradients(grad_h.addcmul_(through_scale, h), grad_e, (grad_mu * scale).sum().view_as(ridge))


class _Context(FunctionCtx):
    saved_tensors: tuple[th.Tensor, ...]


class _Solve(th.autograd.Function):
    """``D`` and ``H D`` of centred inputs ``H (M, k, n)`` and wanted ``E (M, k, A)``, see ``solve``."""

    @staticmethod
    def forward(ctx: _Context, h: th.Tensor, e: th.Tensor, ridge: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        solved = solve(h, e, ridge)
        ctx.save_for_backward(e, *solved)
        return solved.weight, solved.outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad_d: th.Tensor, grad_f: th.Tensor) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        e, *solved = ctx.saved_tensors
        gradients = way_back(Solved(*solved), grad_d, grad_f)
        return gradients.inputs, like(gradients.wanted, e), gradients.ridge


def like(gradient: th.Tensor, value: th.Tensor) -> th.Tensor:
    """The gradient of a value that is the same for all learners is the sum over learners."""
    return gradient if len(gradient) == len(value) else gradient.sum(dim=0, keepdim=True)


_SOLVE: Callable[[th.Tensor, th.Tensor, th.Tensor], tuple[th.Tensor, th.Tensor]] = _Solve.apply
