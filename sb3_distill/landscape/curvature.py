"""Curvature of the distilled loss and of the policy, at one network."""

import numpy as np
import torch as th

from sb3_distill.landscape.maths.curvature import (
    MOST_ROWS,
    fisher_factors,
    hessian_product,
    jacobian,
    overlap,
    right_vectors,
    share_in_span,
    span,
    top_eigenvectors,
)
from sb3_distill.landscape.maths.objectives import Batch, mse
from sb3_distill.landscape.points.play import Arena
from sb3_distill.landscape.points.shape import Shape
from sb3_distill.landscape.result import Spectrum

N_STATES = 150
"""States of the Fisher information at most."""
N_ENVS, N_STEPS = 8, 200
"""Environments and steps of a policy, of which these states are drawn."""


def fisher_rows(shape: Shape, arena: Arena, point: th.Tensor, seed: int) -> th.Tensor:
    """
    A square root of the policy's Fisher information on states that the policy visits.

    :param shape: networks of one shape
    :param arena: where they play
    :param point: parameters ``(d,)``
    :param seed: seed of the states that are drawn
    :return: ``R (n, d)`` with the information ``R^T R / n_states``
    """
    states = arena.experience(point, N_ENVS, N_STEPS).inputs
    generator = th.Generator()
    generator.manual_seed(seed)
    width = shape.dataset.labels.shape[1]
    chosen = th.randperm(len(states), generator=generator)[: min(N_STATES, max(1, MOST_ROWS // width))]
    inputs = states[chosen]
    with th.no_grad():
        outputs = shape.outputs(point.unsqueeze(0), inputs)[0]
    factors = fisher_factors(outputs, shape.dataset.info.action_space, shape.dataset.log_std)
    return th.bmm(factors, jacobian(lambda vector: shape.outputs(vector.unsqueeze(0), inputs)[0], point)).flatten(0, 1)


def distilled_rows(shape: Shape, point: th.Tensor, inputs: th.Tensor) -> th.Tensor:
    """
    :param shape: networks of one shape
    :param point: parameters ``(d,)``
    :param inputs: observations as the networks see them ``(k, ...)``
    :return: Jacobian of the outputs on at most ``MOST_ROWS / n_outputs`` of them ``(k * n_outputs, d)``
    """
    few = inputs[: max(1, MOST_ROWS // shape.dataset.labels.shape[1])]
    return jacobian(lambda vector: shape.outputs(vector.unsqueeze(0), few)[0], point).flatten(0, 1)


def spectrum_at(shape: Shape, batch: Batch, arena: Arena, point: th.Tensor, name: str, n: int, seed: int) -> Spectrum:
    """
    :param shape: networks of one shape
    :param batch: the distilled batch
    :param arena: where they play
    :param point: parameters ``(d,)``
    :param name: name of the network
    :param n: number of eigenvalues
    :param seed: seed of states and of the Lanczos iteration
    :return: the curvature
    """

    def loss(vector: th.Tensor) -> th.Tensor:
        return mse(shape.outputs(vector.unsqueeze(0), batch.inputs), batch.labels)[0]

    rows = fisher_rows(shape, arena, point, seed)
    n_states = len(rows) / shape.dataset.labels.shape[1]
    values, right = right_vectors(rows)
    hessian, vectors = top_eigenvectors(hessian_product(loss, point), point, n, seed)
    basis = span(distilled_rows(shape, point, batch.inputs))
    return Spectrum(
        name,
        hessian,
        np.asarray((values[:n].square() / n_states).numpy()),
        share_in_span(rows, basis),
        len(basis),
        overlap(vectors, right[:n]),
        {"hessian": vectors, "fisher": right[:n].to(point)},
    )
