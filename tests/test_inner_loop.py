"""Inner learning against gradients written by hand, against autograd, and against finite differences."""

import copy

import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from sb3_distill import initialization
from sb3_distill.inner_loop import GradientSteps, autograd_step, make_inner_loop, train
from sb3_distill.learner_distribution import LearnerDistribution
from sb3_distill.learners import Learners
from sb3_distill.mlp_step import gradient_step
from sb3_distill.networks import Network, actor_of
from sb3_distill.stacked import StackedNetwork, stack_parameters

OBSERVATIONS, ACTIONS = spaces.Box(-1, 1, (5,)), spaces.Discrete(3)


def perceptron(depth: int, activation: type[nn.Module], layer_norm: bool = False) -> Network:
    layers: list[nn.Module] = []
    width = 5
    for _ in range(depth):
        layers += [nn.Linear(width, 7), *([nn.LayerNorm(7)] if layer_norm else []), activation()]
        width = 7
    return Network(nn.Flatten(), nn.Sequential(*layers), nn.Linear(width, 3)).double()


def draw(network: Network, n: int) -> dict[str, th.Tensor]:
    params = initialization.draw(network, n, th.Generator().manual_seed(0), "pytorch")
    return {name: value.double() for name, value in params.items()}


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
            th.testing.assert_close(taught.groups[0][1][name][i], parameter.detach(), rtol=1e-5, atol=1e-6)


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


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("n_steps", [1, 2])
def test_meta_gradient_against_finite_differences(n_steps, layer_norm):
    stacked = StackedNetwork(perceptron(2, nn.Tanh, layer_norm))
    params = draw(stacked.template, 2)
    states, actions = th.randn(2, 8, 5, dtype=th.double), th.randint(3, (2, 8))

    def outer_loss(x: th.Tensor, y: th.Tensor, log_rates: th.Tensor) -> th.Tensor:
        learned = {"log_inner_learning_rates": log_rates}
        taught = train(GradientSteps(n_steps), Learners([(stacked, params)]), x, y, learned)
        return taught(states).log_softmax(-1).gather(-1, actions.unsqueeze(-1)).mean()

    inputs = (
        th.randn(4, 5, dtype=th.double, requires_grad=True),
        th.randn(4, 3, dtype=th.double, requires_grad=True),
        th.full((n_steps, 1), -0.5, dtype=th.double, requires_grad=True),
    )
    assert th.autograd.gradcheck(outer_loss, inputs)


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.ELU, nn.SiLU, nn.Identity])
@pytest.mark.parametrize("n", [5, 2000])
def test_the_written_out_forward_pass_is_autograds(activation, n):
    stacked = StackedNetwork(perceptron(2, activation))
    params = {name: value.requires_grad_() for name, value in draw(stacked.template, 3).items()}
    x = th.randn(3, n, 5, dtype=th.double, requires_grad=True)
    weights = th.randn(3, n, 3, dtype=th.double)
    results = []
    for f in (stacked, stacked.differentiable):
        outputs = f(params, x)
        results.append([outputs, *th.autograd.grad((outputs * weights).sum(), [x, *params.values()])])
    for ours, theirs in zip(*results, strict=True):
        th.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
def test_stacked_forward_is_each_networks_forward(shape, layer_norm):
    networks = []
    for _ in range(3):
        norm = [nn.LayerNorm(8)] if layer_norm else []
        body = nn.Sequential(nn.Linear(int(th.tensor(shape).prod()), 8), *norm, nn.GELU())
        networks.append(Network(nn.Flatten(), body, nn.Linear(8, 2)))
    x = th.randn(3, 6, *shape)
    outputs = StackedNetwork(networks[0])(stack_parameters(networks), x)
    for i, network in enumerate(networks):
        th.testing.assert_close(outputs[i], network(x[i]))


def test_learners_differ_and_the_generator_decides():
    sampler = LearnerDistribution().bind(ActorCriticPolicy, {}, OBSERVATIONS, ACTIONS)
    one, two = (sampler.sample(3, th.Generator().manual_seed(1)).groups[0][1] for _ in range(2))
    for name, value in one.items():
        th.testing.assert_close(value, two[name], rtol=0, atol=0)
    weight = one["latent.0.weight"]
    assert not th.allclose(weight[0], weight[1])


def test_batched_initialisation_has_sb3s_law():
    sampler = LearnerDistribution().bind(ActorCriticPolicy, {}, OBSERVATIONS, ACTIONS)
    params = sampler.sample(500, th.Generator().manual_seed(0)).groups[0][1]
    hidden, last = params["latent.2.weight"], params["head.weight"]
    eye = th.eye(64).expand(500, 64, 64)
    th.testing.assert_close(hidden @ hidden.mT, 2 * eye, atol=1e-4, rtol=0)
    th.testing.assert_close(last @ last.mT, 1e-4 * th.eye(3).expand(500, 3, 3), atol=1e-8, rtol=0)
    assert (params["latent.0.bias"] == 0).all()
    # Entries of a uniform orthogonal matrix of size 64 have variance 1 / 64.
    assert abs(hidden.var() / (2 / 64) - 1) < 0.02
    assert hidden.mean(dim=0).abs().max() < 0.05


def test_other_policies_draw_their_own_parameters():
    class Odd(ActorCriticPolicy):
        def _build(self, lr_schedule):
            super()._build(lr_schedule)
            nn.init.constant_(self.action_net.weight, 0.25)

    state = th.get_rng_state()
    params = LearnerDistribution().bind(Odd, {}, OBSERVATIONS, ACTIONS).sample(2, th.Generator().manual_seed(0)).groups[0][1]
    assert (params["head.weight"] == 0.25).all()
    assert not th.allclose(params["latent.0.weight"][0], params["latent.0.weight"][1])
    assert th.equal(state, th.get_rng_state()), "the global generator must not notice"


@pytest.mark.parametrize("scheme", initialization.INITIALIZATIONS)
def test_initialisations_have_the_variance_of_torchs(scheme):
    network = Network(nn.Flatten(), nn.Linear(40, 30), nn.Linear(30, 20))
    params = initialization.draw(network, 300, th.Generator().manual_seed(0), scheme, hidden_gain=1.5, last_gain=0.5)
    for name, module, gain in (("latent", network.latent, 1.5), ("head", network.head, 0.5)):
        reference = th.empty(module.weight.shape)
        if scheme == "pytorch":
            variance = nn.Linear(module.in_features, 2000).weight.var()
        else:
            kwargs = {"nonlinearity": "linear"} if scheme.startswith("kaiming") else {"gain": gain}
            draws = [getattr(nn.init, f"{scheme}_")(reference.clone(), **kwargs).var() for _ in range(100)]
            variance = th.stack(draws).mean() * (gain**2 if scheme.startswith("kaiming") else 1)
        assert abs(params[f"{name}.weight"].var() / variance - 1) < 0.05


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
