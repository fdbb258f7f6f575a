"""The outer losses against numbers worked out by hand, SB3's formulas, and finite differences."""

import math

import pytest
import torch as th

from sb3_distill.ppmo.losses import normalize, policy_loss, value_loss


def double(*values: float) -> th.Tensor:
    return th.tensor(values, dtype=th.double)


def test_the_policy_loss_of_four_actions_by_hand():
    # Ratios 2, 1/2, 2 and 1; a trust region of a fifth.
    log_prob = double(2.0, 0.5, 2.0, 1.0).log()
    advantages = double(1.0, 1.0, -1.0, 3.0)
    loss, approx_kl, clip_fraction = policy_loss(log_prob, th.zeros(4).double(), advantages, 0.2)
    # The gain of the first is bounded, the losses of the second and third are not.
    assert loss.item() == pytest.approx(-(1.2 + 0.5 - 2.0 + 3.0) / 4)
    assert approx_kl.item() == pytest.approx((2 * (1 - math.log(2)) + (-0.5 + math.log(2))) / 4)
    assert clip_fraction.item() == 0.75


def test_gradients_stop_where_an_action_has_gained_enough():
    log_prob = double(2.0, 0.5, 2.0, 0.5).log().requires_grad_()
    advantages = double(1.0, 1.0, -1.0, -1.0)
    policy_loss(log_prob, th.zeros(4).double(), advantages, 0.2).loss.backward()
    # d(-A ratio / n) / d(log prob) is -A ratio / n.
    th.testing.assert_close(log_prob.grad, double(0.0, -0.125, 0.5, 0.0))


def test_an_unchanged_policy_gains_nothing_and_has_the_policy_gradient():
    advantages = th.randn(50).double()
    old = th.randn(50).double()
    log_prob = old.clone().requires_grad_()
    loss, approx_kl, clip_fraction = policy_loss(log_prob, old, advantages, 0.2)
    loss.backward()
    assert loss.item() == pytest.approx(-advantages.mean().item())
    assert approx_kl == 0
    assert clip_fraction == 0
    th.testing.assert_close(log_prob.grad, -advantages / 50)


def test_gradients_of_the_policy_loss_against_finite_differences():
    log_prob, old, advantages = (th.randn(30).double() for _ in range(3))
    assert th.autograd.gradcheck(
        lambda x, a: policy_loss(x, old, a, 0.2).loss, [log_prob.requires_grad_(), advantages.requires_grad_()]
    )


def test_figures_for_the_log_have_no_gradient():
    log_prob = th.randn(5).double().requires_grad_()
    figures = policy_loss(log_prob, th.zeros(5).double(), th.randn(5).double(), 0.2)
    assert not figures.approx_kl.requires_grad
    assert not figures.clip_fraction.requires_grad


def test_the_value_loss_by_hand():
    values, returns, old = double(1.0, 4.0), double(2.0, 1.0), double(0.0, 3.8)
    assert value_loss(values, returns, old, None).item() == pytest.approx((1 + 9) / 2)
    # The first prediction may move by half from 0, the second has moved by less.
    assert value_loss(values, returns, old, 0.5).item() == pytest.approx((1.5**2 + 9) / 2)


@pytest.mark.parametrize("clip_range", [None, 0.3])
def test_gradients_of_the_value_loss_against_finite_differences(clip_range):
    values, returns, old = (th.randn(30).double() for _ in range(3))
    assert th.autograd.gradcheck(lambda x: value_loss(x, returns, old, clip_range), [values.requires_grad_()])


def test_normalised_advantages():
    th.testing.assert_close(normalize(double(1.0, 2.0, 3.0)), double(-1.0, 0.0, 1.0))
    normalized = normalize(5 + 3 * th.randn(1_000).double())
    assert normalized.mean().item() == pytest.approx(0, abs=1e-9)
    assert normalized.std().item() == pytest.approx(1)
    th.testing.assert_close(normalize(double(7.0)), double(7.0))
    assert (normalize(th.ones(4)) == 0).all()
