"""Curvature: Hessian and Fisher information of a network, by products with vectors and by Jacobians."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch as th
from gymnasium import spaces

from sb3_distill.errors import NotFiniteError, UnsupportedError
from sb3_distill.typing import Array, Space

Scalar: TypeAlias = Callable[[th.Tensor], th.Tensor]
"""From a vector ``(d,)`` to a scalar, differentiable twice."""
Outputs: TypeAlias = Callable[[th.Tensor], th.Tensor]
"""From a vector ``(d,)`` to outputs ``(n, A)``, differentiable."""
MOST_ROWS = 4096
"""Rows of a Jacobian that are computed at most: each has as many numbers as the network."""


def gradient(function: Scalar, point: th.Tensor) -> th.Tensor:
    """
    :param function: the loss
    :param point: ``(d,)``
    :return: its gradient ``(d,)``
    """
    with th.enable_grad():
        point = point.detach().requires_grad_()
        (slope,) = th.autograd.grad(function(point), point)
    return slope


def hessian_product(function: Scalar, point: th.Tensor) -> Callable[[th.Tensor], th.Tensor]:
    """
    :param function: the loss
    :param point: ``(d,)``
    :return: the function from ``v`` to ``H v`` (Pearlmutter 1994), by a second backward pass
    """
    point = point.detach().requires_grad_()
    with th.enable_grad():
        slope = th.autograd.grad(function(point), point, create_graph=True)[0]

    def product(vector: th.Tensor) -> th.Tensor:
        if not slope.requires_grad:  # a loss that is linear in all parameters
            return th.zeros_like(vector)
        (result,) = th.autograd.grad(slope, point, vector, retain_graph=True)
        return result

    return product


def top_eigenvectors(
    product: Callable[[th.Tensor], th.Tensor], like: th.Tensor, n: int, seed: int = 0
) -> tuple[Array, th.Tensor]:
    """
    The largest eigenvalues of a symmetric matrix that is known by its products, by SciPy's Lanczos iteration (ARPACK).

    :param product: from ``v`` to ``H v``
    :param like: a vector ``(d,)`` of the same length, type and device
    :param n: number of eigenvalues
    :param seed: seed of the vector that the iteration starts with
    :return: eigenvalues ``(n,)``, the largest first, and unit eigenvectors ``(n, d)``
    :raises FloatingPointError: if the products are not finite
    """
    from scipy.sparse import linalg  # takes seconds to import: only where it is used

    size = len(like)

    def apply(vector: Array) -> Array:
        result = product(th.as_tensor(vector.ravel()).to(like)).detach().cpu().double().numpy()
        if not np.isfinite(result).all():
            raise NotFiniteError("the curvature is not finite here: choose a point that did not diverge")
        return np.asarray(result)

    operator = linalg.LinearOperator((size, size), matvec=apply, dtype=np.float64)
    start = np.random.default_rng(seed % 2**64).standard_normal(size)
    values, vectors = linalg.eigsh(operator, k=min(n, size - 1), which="LA", v0=start, tol=1e-4)
    order = np.argsort(-values)
    return values[order], th.as_tensor(vectors[:, order].T.copy()).to(like)


def jacobian(outputs: Outputs, point: th.Tensor) -> th.Tensor:
    """
    :param outputs: from a vector to outputs ``(n, A)``
    :param point: ``(d,)``
    :return: ``(n, A, d)``
    """
    with th.enable_grad():
        point = point.detach().requires_grad_()
        values = outputs(point)
        flat = values.flatten()
        rows = [th.autograd.grad(value, point, retain_graph=True)[0] for value in flat]
    stacked: th.Tensor = th.stack(rows).unflatten(0, values.shape)
    return stacked


def fisher_factors(outputs: th.Tensor, action_space: Space, log_std: th.Tensor | None = None) -> th.Tensor:
    """
    ``S`` with ``S^T S`` the Fisher information of an action distribution with respect to the outputs of the network:
    ``diag(p) - p p^T`` for choices, ``diag(1 / sigma^2)`` for a Gaussian.

    :param outputs: ``(n, A)``
    :param action_space: action space of the environment
    :param log_std: logarithms of standard deviations ``(A,)``, for a ``Box``; ``None`` for 1
    :return: ``(n, A, A)``
    :raises TypeError: for other spaces
    """
    n, width = outputs.shape
    if isinstance(action_space, spaces.Box):
        scale = th.ones(width) if log_std is None else (-log_std.detach()).exp()
        return th.diag(scale.to(outputs)).expand(n, width, width)
    if isinstance(action_space, spaces.MultiBinary):
        p = outputs.sigmoid()
        return th.diag_embed((p * (1 - p)).sqrt())
    if isinstance(action_space, (spaces.Discrete, spaces.MultiDiscrete)):
        sizes = [width] if isinstance(action_space, spaces.Discrete) else action_space.nvec.ravel().tolist()
        factors = th.zeros(n, width, width, dtype=outputs.dtype, device=outputs.device)
        start = 0
        for size in sizes:
            p = outputs[:, start : start + size].softmax(dim=1)
            block = th.diag_embed(p.sqrt()) @ (th.eye(size).to(p) - p.unsqueeze(1))
            factors[:, start : start + size, start : start + size] = block
            start += size
        return factors
    raise UnsupportedError(f"no Fisher information of actions of a {type(action_space).__name__}")


def right_vectors(rows: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
    """
    Singular values and right singular vectors of a wide matrix, by the eigenvectors of ``rows rows^T``: ten times as fast as
    a singular value decomposition. Those below a millionth of the largest are left out; double precision tells them apart.

    :param rows: ``(n, d)``
    :return: values ``(r,)``, the largest first, and orthonormal vectors ``(r, d)``
    """
    rows = rows.double()
    values, left = th.linalg.eigh(rows @ rows.mT)
    keep = values > values[-1] * 1e-12
    sizes = values[keep].flip(0).sqrt()
    return sizes, (left[:, keep].flip(1) / sizes).mT @ rows


def span(rows: th.Tensor) -> th.Tensor:
    """
    :param rows: ``(n, d)``
    :return: an orthonormal basis of their span ``(r, d)``
    """
    return right_vectors(rows)[1]


def share_in_span(rows: th.Tensor, basis: th.Tensor) -> float:
    """
    ``tr(P F) / tr(F)`` for ``F = rows^T rows`` and ``P`` the projector on the span of a basis.

    :param rows: square root of a matrix ``(n, d)``
    :param basis: orthonormal ``(r, d)``
    :return: from 0 to 1; a random span of the same rank has ``r / d``
    """
    rows = rows.double()
    return float((rows @ basis.double().mT).square().sum() / rows.square().sum())


def overlap(one: th.Tensor, other: th.Tensor) -> float:
    """
    ``|U V^T|^2 / n``: how much of the smaller of two subspaces lies in the other.

    :param one: orthonormal ``(n, d)``
    :param other: orthonormal ``(m, d)``
    :return: from 0 (perpendicular) to 1 (contained)
    """
    return float((one.double() @ other.double().mT).square().sum() / min(len(one), len(other)))
