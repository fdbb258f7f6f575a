"""The smallest change of a linear layer against the plain definition and finite differences."""

import pytest
import torch as th
from plain_carry import ridge_change

from sb3_distill.inner_loop.smallest_change import Solved, smallest_change, solve, way_back

SIZES = [(4, 7), (7, 7), (20, 7), (1, 5)]
"""Instances and inputs: both of the two equivalent systems, and a single instance."""


def draw(*shape):
    return th.randn(*shape, dtype=th.double, requires_grad=True)


@pytest.mark.parametrize("k, n", SIZES)
@pytest.mark.parametrize("n_labels", [1, 3])
@pytest.mark.parametrize("has_bias", [False, True])
def test_the_change_is_ridge_regression_and_so_is_its_gradient(k, n, n_labels, has_bias):
    inputs, wanted, ridge = draw(2, k, n), draw(2, k, n_labels), th.tensor([0.3], dtype=th.double, requires_grad=True)
    change = smallest_change(inputs, wanted, ridge, has_bias)
    weight, bias = ridge_change(inputs, wanted, ridge, has_bias)
    th.testing.assert_close(change.weight, weight.mT)
    th.testing.assert_close(change.bias, bias)
    assert th.autograd.gradcheck(lambda *values: tuple(smallest_change(*values, has_bias)), (inputs, wanted, ridge))


@pytest.mark.parametrize("k, n", SIZES)
@pytest.mark.parametrize("m", [1, 3])
def test_the_way_back_goes_through_weights_and_outputs(k, n, m):
    h, e, ridge = draw(m, k, n), draw(1, 2, k), th.tensor([0.3], dtype=th.double, requires_grad=True)

    class Both(th.autograd.Function):
        @staticmethod
        def forward(ctx, *values):
            solved = solve(*values)
            ctx.save_for_backward(*solved)
            return solved.weight, solved.outputs

        @staticmethod
        def backward(ctx, grad_d, grad_f):
            gradients = way_back(Solved(*ctx.saved_tensors), grad_d, grad_f)
            return gradients._replace(wanted=gradients.wanted.sum(dim=0, keepdim=True))

    solved = solve(h, e, ridge)
    th.testing.assert_close(solved.outputs, solved.weight @ h.mT)
    assert th.autograd.gradcheck(Both.apply, (h, e, ridge))


@pytest.mark.parametrize("has_bias", [False, True])
def test_no_wish_no_change(has_bias):
    change = smallest_change(draw(2, 4, 5), th.zeros(2, 4, 3, dtype=th.double), th.ones(1, dtype=th.double), has_bias)
    assert not any(value.any() for value in change)


def test_instances_that_are_all_alike_get_the_mean_of_what_is_wanted():
    inputs, wanted = th.ones(2, 4, 5).requires_grad_(), th.randn(2, 4, 3).requires_grad_()
    change = smallest_change(inputs, wanted, th.full((1,), 1e-3).requires_grad_(), has_bias=True)
    th.testing.assert_close(
        inputs @ change.weight.mT + change.bias.unsqueeze(1), wanted.mean(dim=1, keepdim=True).expand(2, 4, 3)
    )
    gradients = th.autograd.grad(sum(value.square().sum() for value in change), [inputs, wanted])
    assert all(gradient.isfinite().all() for gradient in gradients)
