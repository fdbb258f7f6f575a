"""The regularisers' maths, against numbers made by hand."""

import math

import pytest
import torch as th
from gymnasium import spaces
from torch.distributions import Categorical, Normal, kl_divergence

from sb3_distill.outer_loop.regularizers import (
    LARGEST_LOG_WEIGHT,
    MOST_STEPS,
    add_noise,
    cvar_weights,
    disagreement,
    draw_shifts,
    draw_steps,
    group_dro_step,
    group_weights,
    weighted_mean,
)
from sb3_distill.ppmo.losses import policy_loss


def double(*values):
    return th.tensor(values, dtype=th.float64)


def generator(seed=0):
    return th.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "fraction, weights",
    [
        (0.25, [0, 4, 0, 0]),
        (0.5, [0, 2, 2, 0]),
        (0.375, [0, 1 / 0.375, 0.5 / 0.375, 0]),
        (0.1, [0, 4, 0, 0]),
        (1, [1, 1, 1, 1]),
    ],
)
def test_the_worst_share_of_learners_has_all_of_the_weight(fraction, weights):
    found = cvar_weights(double(3.0, -1.0, 0.5, 7.0), fraction)
    th.testing.assert_close(found, double(*map(float, weights)))
    assert found.mean() == pytest.approx(1)


def test_the_weighted_mean_is_the_conditional_value_at_risk():
    scores = th.randn(40, generator=generator()).double()
    assert weighted_mean(scores, cvar_weights(scores, 0.2)) == pytest.approx(scores.sort().values[:8].mean())


def test_learners_that_are_equally_good_have_some_weights_of_mean_one():
    assert cvar_weights(th.ones(7), 0.3).mean() == pytest.approx(1)


def test_a_step_of_group_dro_by_hand():
    # Mean 2, deviation sqrt(8/3): learners of component 0 stay behind by 2 and lead by 2, that of component 2 is at the mean.
    deviation = math.sqrt(8 / 3)
    after = group_dro_step(double(0.1, 0.2, 0.3), double(0.0, 4.0, 2.0, 2.0), [0, 2, 2, 2], 0.5)
    th.testing.assert_close(after, double(0.1 + 0.5 * 2 / deviation, 0.2, 0.3 - 0.5 * (2 / 3) / deviation))


def test_weights_of_components_do_not_depend_on_the_scale_of_rewards():
    scores = th.randn(8, generator=generator()).double()
    small, large = (group_dro_step(th.zeros(2).double(), scale * scores, [0] * 4 + [1] * 4, 0.1) for scale in (0.01, 100))
    th.testing.assert_close(small, large, atol=1e-4, rtol=1e-4)
    assert (group_dro_step(th.zeros(2), th.ones(4), [0, 0, 1, 1], 0.1) == 0).all()
    assert (group_dro_step(th.zeros(2), th.ones(1), [0], 0.1) == 0).all()


def test_a_component_that_no_set_can_teach_does_not_take_all_of_the_weight():
    log_weights = th.zeros(2)
    for _ in range(1000):
        log_weights = group_dro_step(log_weights, th.tensor([0.0, 1.0]), [0, 1], 0.1)
    assert log_weights.tolist() == [LARGEST_LOG_WEIGHT, -LARGEST_LOG_WEIGHT]


def test_weights_of_learners_follow_from_those_of_components():
    th.testing.assert_close(group_weights(double(math.log(2.0), 0.0), [0, 1, 1, 0]), double(4 / 3, 2 / 3, 2 / 3, 4 / 3))


def test_a_weighted_mean_by_hand():
    values = double(1.0, 3.0, 10.0, 20.0)
    assert weighted_mean(values, None) == values.mean()
    assert weighted_mean(values, double(1.5, 0.5)) == pytest.approx((1.5 * 2 + 0.5 * 15) / 2)


def test_the_policy_loss_with_weights():
    old, advantages = th.zeros(6).double(), double(1.0, -1.0, 2.0, 0.5, 3.0, -2.0)
    log_prob = (0.1 * th.randn(6, generator=generator()).double()).requires_grad_()
    alone = policy_loss(log_prob[2:4], old[2:4], advantages[2:4], 0.2)
    weighted = policy_loss(log_prob, old, advantages, 0.2, double(0.0, 3.0, 0.0))
    assert weighted.loss.item() == pytest.approx(alone.loss.item())
    assert weighted.approx_kl == policy_loss(log_prob, old, advantages, 0.2).approx_kl
    weights = double(0.5, 2.0, 0.5)
    assert th.autograd.gradcheck(lambda x: policy_loss(x, old, advantages, 0.2, weights).loss, [log_prob])


def test_noise_is_as_large_as_asked_for_in_every_tensor_of_every_learner():
    params = {"weight": th.randn(3, 40, 50), "bias": th.zeros(3, 40)}
    params["weight"][1] *= 100
    noisy = add_noise(params, 0.3, generator())
    change = (noisy["weight"] - params["weight"]).flatten(1).std(dim=1) / params["weight"].flatten(1).std(dim=1)
    th.testing.assert_close(change, th.full((3,), 0.3), atol=0.02, rtol=0)
    assert (noisy["bias"] == 0).all()


def test_learned_numbers_are_multiplied_by_log_normal_factors():
    learned = {"log_ridge": th.zeros(4000), "carry_logit": th.zeros(4000)}
    shifts = draw_shifts(learned, 0.5, generator())
    assert shifts["log_ridge"].mean() == pytest.approx(0, abs=0.03)
    assert shifts["log_ridge"].std() == pytest.approx(0.5, abs=0.02)
    assert (shifts["carry_logit"] / 2).std() == pytest.approx(0.5, abs=0.02)  # the logit is the logarithm of a square


def test_numbers_of_steps_vary_around_the_usual_one():
    assert draw_steps(3, 0.0, generator()) == [0, 1, 2]
    draws = [draw_steps(4, 0.4, generator(seed)) for seed in range(500)]
    logs = th.tensor([math.log(len(draw) / 4) for draw in draws])
    assert logs.mean() == pytest.approx(0, abs=0.06)
    assert logs.std() == pytest.approx(0.4, abs=0.06)
    for draw in draws:
        assert draw == sorted(draw)
        assert set(draw) <= {0, 1, 2, 3}
    assert [0, 0, 1, 1, 2, 2, 3, 3] in draws
    assert [0, 2] in draws
    assert max(len(draw_steps(1, 9.0, generator(seed))) for seed in range(20)) == MOST_STEPS


def test_disagreement_about_one_choice_by_hand():
    outputs = th.randn(5, 7, 3, generator=generator()).double()
    mean = Categorical(probs=Categorical(logits=outputs).probs.mean(dim=0))
    expected = kl_divergence(Categorical(logits=outputs), mean.expand((5, 7))).mean()
    assert disagreement(outputs, spaces.Discrete(3)) == pytest.approx(expected.item())
    certain = th.tensor([[[50.0, 0.0]], [[0.0, 50.0]]])
    assert disagreement(certain, spaces.Discrete(2)) == pytest.approx(math.log(2))


def test_disagreement_about_several_choices_is_added_up():
    outputs = th.randn(4, 6, 5, generator=generator()).double()
    parts = (outputs[..., :2], spaces.Discrete(2)), (outputs[..., 2:], spaces.Discrete(3))
    expected = sum(disagreement(part, space) for part, space in parts)
    assert disagreement(outputs, spaces.MultiDiscrete([2, 3])) == pytest.approx(expected.item())
    bits = th.stack([outputs[..., 0], th.zeros(4, 6)], dim=-1), th.stack([outputs[..., 1], th.zeros(4, 6)], dim=-1)
    expected = sum(disagreement(bit, spaces.Discrete(2)) for bit in bits)
    assert disagreement(outputs[..., :2], spaces.MultiBinary(2)) == pytest.approx(expected.item())


def test_disagreement_of_continuous_actions_by_hand():
    outputs, log_std = th.randn(5, 7, 2, generator=generator()).double(), double(-1.0, 0.5)
    learners, mean = Normal(outputs, log_std.exp()), Normal(outputs.mean(dim=0), log_std.exp())
    expected = kl_divergence(learners, mean).sum(dim=-1).mean()
    assert disagreement(outputs, spaces.Box(-1, 1, (2,)), log_std) == pytest.approx(expected.item())


@pytest.mark.parametrize(
    "space", [spaces.Discrete(2), spaces.Box(-1, 1, (2,)), spaces.MultiDiscrete([2]), spaces.MultiBinary(2)]
)
def test_learners_that_act_alike_do_not_disagree(space):
    outputs = th.randn(1, 7, 2).double()
    for same in (outputs, outputs.expand(4, 7, 2)):
        assert disagreement(same, space, th.zeros(2).double()) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "space", [spaces.Discrete(4), spaces.Box(-1, 1, (4,)), spaces.MultiDiscrete([2, 2]), spaces.MultiBinary(4)]
)
def test_gradients_of_disagreement_against_finite_differences(space):
    outputs, log_std = th.randn(3, 5, 4).double().requires_grad_(), th.randn(4).double().requires_grad_()
    assert th.autograd.gradcheck(lambda x: disagreement(x, space, log_std.detach()), [outputs])
    assert not th.autograd.grad(disagreement(outputs, space, log_std), log_std, allow_unused=True)[0]


def test_gradients_of_a_weighted_mean_against_finite_differences():
    values, weights = th.randn(6).double().requires_grad_(), th.rand(3).double().requires_grad_()
    assert th.autograd.gradcheck(weighted_mean, [values, weights])
