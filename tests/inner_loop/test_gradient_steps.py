"""Gradient steps against gradients written by hand, against autograd, and against finite differences."""

import copy

import pytest
import torch as th
from perceptrons import ACTIONS, OBSERVATIONS, draw, perceptron
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from sb3_distill.inner_loop.gradient_steps import GradientSteps, autograd_step
from sb3_distill.inner_loop.loop import make_inner_loop, train
from sb3_distill.learners import initialization
from sb3_distill.learners.distribution import LearnerDistribution
from sb3_distill.learners.population import Learners
from sb3_distill.networks.anatomy import Network, actor_of
from sb3_distill.networks.roles import ROLES
from sb3_distill.networks.stacked import StackedNetwork, stack_parameters
from sb3_distill.networks.stacked_perceptron import gradient_step


def test_one_step_is_plain_gradient_descent():
    policies = [ActorCriticPolicy(OBSERVATIONS, ACTIONS, lambda _: 0.0) for _ in range(3)]
    actors = [actor_of(policy) for policy in policies]
    x, y = th.randn(4, 5), th.randn(4, 3)
    learned = {"log_inner_learning_rates": th.full((1, 1), 0.7).log()}
    population = Learners([(StackedNetwork(actors[0]), stack_parameters(actors))])
    taught = train(GradientSteps(), population, x, y, learned)
    for i, actor in enumerate(actors):
        expected = copy.deepcopy(actor)
        optimizer = th.optim.SGD(expected.parameters(), lr=0.7)
        nn.functional.mse_loss(expected(x), y).backward()
        optimizer.step()
        for name, parameter in expected.named_parameters():
            th.testing.assert_close(taught.groups[0].params[name][i], parameter.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.ELU, nn.SiLU, nn.Identity])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_the_written_out_step_is_autograds(activation, depth):
    stacked = StackedNetwork(perceptron(depth, activation))
    assert stacked.mlp is not None
    params = {name: value.requires_grad_() for name, value in draw(stacked.template, 4).items()}
    th.manual_seed(0)
    x, y = th.randn(6, 5, dtype=th.double, requires_grad=True), th.randn(6, 3, dtype=th.double, requires_grad=True)
    rate = th.tensor(0.7, dtype=th.double, requires_grad=True)
    outer = {name: th.randn_like(value) for name, value in params.items()}
    results = []
    for step in (
        lambda p: autograd_step(stacked, p, x.expand(4, 6, 5), y.expand(4, 6, 3), dict.fromkeys(p, rate.expand(4))),
        lambda p: gradient_step(stacked.mlp, p, x.expand(4, 6, 5), y.expand(4, 6, 3), rate.expand(4, 2 * len(stacked.mlp))),
    ):
        taught = step(step(params))  # two steps, so that the derivative with respect to the parameters matters
        loss = sum((outer[name] * value**2).sum() for name, value in taught.items())
        results.append((list(taught.values()), th.autograd.grad(loss, [x, y, rate, *params.values()])))
    for ours, theirs in zip(results[1][0] + list(results[1][1]), results[0][0] + list(results[0][1]), strict=True):
        th.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("n_steps", [1, 2])
def test_meta_gradient_against_finite_differences(n_steps, layer_norm, relative):
    stacked = StackedNetwork(perceptron(2, nn.Tanh, layer_norm))
    params = draw(stacked.template, 2)
    states, actions = th.randn(2, 8, 5, dtype=th.double), th.randint(3, (2, 8))

    def outer_loss(x: th.Tensor, y: th.Tensor, log_rates: th.Tensor) -> th.Tensor:
        learned = {"log_inner_learning_rates": log_rates}
        taught = train(GradientSteps(n_steps, relative=relative), Learners([(stacked, params)]), x, y, learned)
        return taught(states).log_softmax(-1).gather(-1, actions.unsqueeze(-1)).mean()

    inputs = (
        th.randn(4, 5, dtype=th.double, requires_grad=True),
        th.randn(4, 3, dtype=th.double, requires_grad=True),
        th.full((n_steps, 1), -0.5, dtype=th.double, requires_grad=True),
    )
    assert th.autograd.gradcheck(outer_loss, inputs)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_rates_per_role_move_their_parameters_only(layer_norm):
    network = perceptron(2, nn.Tanh, layer_norm)
    stacked, params = StackedNetwork(network), draw(network, 3)
    x, y = th.randn(4, 5, dtype=th.double), th.randn(4, 3, dtype=th.double)
    for role, name in enumerate(ROLES):
        rates = th.full((1, len(ROLES)), -30.0, dtype=th.double)
        rates[0, role] = 0.0
        learned = {"log_inner_learning_rates": rates}
        taught = train(GradientSteps(per_role=True), Learners([(stacked, params)]), x, y, learned).groups[0].params
        plain = (
            train(GradientSteps(), Learners([(stacked, params)]), x, y, {"log_inner_learning_rates": rates[:, role, None]})
            .groups[0]
            .params
        )
        for key, value in taught.items():
            layer = "output" if key.startswith("head") else "input" if key.startswith("latent.0.") else "hidden"
            own = layer + ("_biases" if key.endswith("bias") else "_weights")
            th.testing.assert_close(value, plain[key] if own == name else params[key])


@pytest.mark.parametrize("layer_norm", [False, True])
def test_relative_rates_are_divided_by_the_size_of_the_features(layer_norm):
    network = perceptron(1, nn.ReLU, layer_norm)
    stacked, params = StackedNetwork(network), draw(network, 3)
    params["latent.0.weight"] *= th.tensor([1.0, 2.0, 4.0], dtype=th.double).view(3, 1, 1)
    x, y = th.randn(4, 5, dtype=th.double), th.randn(4, 3, dtype=th.double)
    learned = {"log_inner_learning_rates": th.zeros((1, 1), dtype=th.double)}
    taught = train(GradientSteps(relative=True), Learners([(stacked, params)]), x, y, learned).groups[0].params
    for i in range(3):
        size = stacked.latent(params, x.expand(3, 4, 5))[i].square().sum(dim=1).mean()
        one = {name: value[i : i + 1] for name, value in params.items()}
        rate = {"log_inner_learning_rates": -(1 + size).log().view(1, 1)}
        alone = train(GradientSteps(), Learners([(stacked, one)]), x, y, rate).groups[0].params
        for name, value in alone.items():
            th.testing.assert_close(taught[name][i], value[0])


def test_a_role_that_cannot_be_told_is_refused():
    class Scaled(nn.Linear):
        def __init__(self):
            super().__init__(5, 4)
            self.scale = nn.Parameter(th.ones(4))

        def forward(self, x):
            return super().forward(x) * self.scale

    network = Network(nn.Flatten(), Scaled(), nn.Linear(4, 3))
    population = Learners([(StackedNetwork(network), stack_parameters([network]))])
    loop = GradientSteps(per_role=True)
    with pytest.raises(TypeError, match=r"'scale' in the module latent \(Scaled\)"):
        train(loop, population, th.randn(3, 5), th.randn(3, 3), loop.initial_parameters())


def test_a_learner_whose_steps_diverge_keeps_its_parameters_and_spoils_no_gradient():
    network = perceptron(2, nn.Identity).float()
    params = {name: value.float() for name, value in draw(network, 3).items()}
    params["latent.0.weight"][1] *= 1e15
    loop = GradientSteps(4, 0.1)
    x, y = th.randn(4, 5, requires_grad=True), th.randn(4, 3, requires_grad=True)
    learned = {name: value.requires_grad_() for name, value in loop.initial_parameters().items()}
    taught = train(loop, Learners([(StackedNetwork(network), params)]), x, y, learned)
    assert int(taught.n_discarded) == 0  # no gradient yet
    assert all(th.equal(value[1], params[name][1]) for name, value in taught.groups[0].params.items())
    outputs = taught(th.randn(3, 2, 5))
    gradients = th.autograd.grad(outputs[[0, 2]].square().sum() + outputs[1].mean(), [x, y, *learned.values()])
    assert all(gradient.isfinite().all() and gradient.abs().sum() > 0 for gradient in gradients)
    assert 0 < int(taught.n_discarded) <= 3


def test_one_rate_for_each_step_may_be_a_plain_list():
    loop = GradientSteps(2, [0.1, 1.0])
    th.testing.assert_close(loop.initial_parameters()["log_inner_learning_rates"].exp(), th.tensor([[0.1], [1.0]]))
    with pytest.raises(ValueError, match="`inner_rate_per_role` must be True or False, got 'no'"):
        GradientSteps(per_role="no")


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="n_inner_steps"):
        GradientSteps(n_steps=0)
    with pytest.raises(ValueError, match="inner_learning_rate"):
        GradientSteps(learning_rate=0.0)
    with pytest.raises(ValueError, match="unknown `inner_loop` 'nonsense'.*sgd"):
        make_inner_loop("nonsense")
    with pytest.raises(ValueError, match="orthogonal"):
        initialization.draw(perceptron(1, nn.Tanh), 1, th.Generator(), "nonsense")
    for value, message in (
        ("nonsense", "learner_distribution"), ([], "learner_distribution"), ([{"nonsense": 1}], "unknown keys"),
        ([{"init": "nonsense"}], "orthogonal"), ([{"weight": 0}], "weight"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            LearnerDistribution.parse(value)
