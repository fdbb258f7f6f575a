"""The ridge head against the textbook and finite differences."""

import pytest
import torch as th
from perceptrons import ACTIONS, OBSERVATIONS, draw, perceptron
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from sb3_distill.inner_loop.loop import train
from sb3_distill.inner_loop.ridge_head import RidgeHead
from sb3_distill.learners import initialization
from sb3_distill.learners.distribution import LearnerDistribution
from sb3_distill.learners.population import Learners
from sb3_distill.networks.anatomy import Network
from sb3_distill.networks.stacked import StackedNetwork, stack_parameters


def ridge_learned(value: float) -> dict[str, th.Tensor]:
    return {"log_ridge": th.tensor([value], dtype=th.double).log()}


@pytest.mark.parametrize("k", [4, 20])
def test_the_ridge_head_is_ridge_regression_on_the_features(k):
    network = perceptron(2, nn.Tanh)
    stacked, params = StackedNetwork(network), draw(network, 3)
    x, y = th.randn(k, 5, dtype=th.double), th.randn(k, 3, dtype=th.double)
    taught = train(RidgeHead(), Learners([(stacked, params)]), x, y, ridge_learned(0.1)).groups[0].params
    for i in range(3):
        features = stacked.latent(params, x.expand(3, k, 5))[i]
        # The textbook's problem with an intercept: a column of ones that is not penalised.
        error = y - (features @ params["head.weight"][i].T + params["head.bias"][i])
        extended = th.cat([features, th.ones(k, 1, dtype=th.double)], dim=1)
        penalty = th.eye(8, dtype=th.double) * 0.1 * (features - features.mean(dim=0)).square().sum() / k
        penalty[-1, -1] = 0
        change = th.linalg.solve(extended.T @ extended + penalty, extended.T @ error)
        th.testing.assert_close(taught["head.weight"][i], params["head.weight"][i] + change[:-1].T)
        th.testing.assert_close(taught["head.bias"][i], params["head.bias"][i] + change[-1])
    assert all(th.equal(taught[name], params[name]) for name in params if not name.startswith("head"))


@pytest.mark.parametrize("init", initialization.INITIALIZATIONS)
def test_the_ridge_head_fits_the_labels_whatever_the_initialisation(init):
    sampler = LearnerDistribution.parse({"init": init, "last_gain": 1.0}).bind(ActorCriticPolicy, {}, OBSERVATIONS, ACTIONS)
    x, y = th.randn(6, 5), th.randn(6, 3)
    learners = sampler.sample(5, th.Generator().manual_seed(0))
    taught = train(RidgeHead(), learners, x, y, {"log_ridge": th.tensor([-11.0])})
    th.testing.assert_close(taught(x.expand(5, 6, 5)), y.expand(5, 6, 3), atol=0.02, rtol=0)


@pytest.mark.parametrize("k", [4, 20])
@pytest.mark.parametrize("bias", [False, True])
def test_meta_gradient_of_the_ridge_head_against_finite_differences(bias, k):
    network = perceptron(1, nn.Tanh)
    network.head = nn.Linear(7, 3, bias=bias).double()
    stacked, params = StackedNetwork(network), draw(network, 2)
    states = th.randn(2, 8, 5, dtype=th.double)

    def outer_loss(x: th.Tensor, y: th.Tensor, log_ridge: th.Tensor) -> th.Tensor:
        taught = train(RidgeHead(), Learners([(stacked, params)]), x, y, {"log_ridge": log_ridge})
        return taught(states).log_softmax(-1).square().mean()

    inputs = (th.randn(k, 5).double(), th.randn(k, 3).double(), th.full((1,), -1.0).double())
    assert th.autograd.gradcheck(outer_loss, tuple(value.requires_grad_() for value in inputs))


def test_the_ridge_head_needs_a_linear_last_layer():
    network = Network(nn.Flatten(), nn.Linear(5, 4), nn.Bilinear(2, 2, 3))
    with pytest.raises(TypeError, match="module `head` of this network is a Bilinear"):
        train(RidgeHead(), Learners([(StackedNetwork(network), stack_parameters([network]))]), th.randn(3, 5), th.randn(3, 3),
              RidgeHead().initial_parameters())  # fmt: skip
    with pytest.raises(ValueError, match="`ridge` must be positive"):
        RidgeHead(0.0)
