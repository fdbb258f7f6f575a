"""Inner learning against gradients written by hand, against autograd, and against finite differences."""

import copy

import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from sb3_distill.inner_loop.gradient_steps import GradientSteps, autograd_step
from sb3_distill.inner_loop.loop import make_inner_loop, train
from sb3_distill.inner_loop.ridge_head import RidgeHead
from sb3_distill.learners import initialization
from sb3_distill.learners.distribution import LearnerDistribution
from sb3_distill.learners.population import Learners
from sb3_distill.networks.anatomy import Network, actor_of
from sb3_distill.networks.roles import ROLES, role_of_parameters
from sb3_distill.networks.stacked import StackedNetwork, stack_parameters
from sb3_distill.networks.stacked_perceptron import gradient_step

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
    one, two = (sampler.sample(3, th.Generator().manual_seed(1)).groups[0].params for _ in range(2))
    for name, value in one.items():
        th.testing.assert_close(value, two[name], rtol=0, atol=0)
    weight = one["latent.0.weight"]
    assert not th.allclose(weight[0], weight[1])


def test_batched_initialisation_has_sb3s_law():
    sampler = LearnerDistribution().bind(ActorCriticPolicy, {}, OBSERVATIONS, ACTIONS)
    params = sampler.sample(500, th.Generator().manual_seed(0)).groups[0].params
    hidden, last = params["latent.2.weight"], params["head.weight"]
    eye = th.eye(64).expand(500, 64, 64)
    th.testing.assert_close(hidden @ hidden.mT, 2 * eye, atol=1e-4, rtol=0)
    th.testing.assert_close(last @ last.mT, 1e-4 * th.eye(3).expand(500, 3, 3), atol=1e-8, rtol=0)
    assert (params["latent.0.bias"] == 0).all()
    # Entries of a uniform orthogonal matrix of size 64 have variance 1 / 64.
    assert abs(hidden.var() / (2 / 64) - 1) < 0.02
    assert hidden.mean(dim=0).abs().max() < 0.05


def test_tall_matrices_are_those_of_the_qr_decomposition():
    shape, cpu = (3, 8, 64), th.device("cpu")
    q, r = th.linalg.qr(th.randn((3, 64, 8), generator=th.Generator().manual_seed(0)))
    expected = 2 * (q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)).mT
    th.testing.assert_close(initialization.orthogonal(shape, 2.0, th.Generator().manual_seed(0), cpu), expected)


def test_other_policies_draw_their_own_parameters():
    class Odd(ActorCriticPolicy):
        def _build(self, lr_schedule):
            super()._build(lr_schedule)
            nn.init.constant_(self.action_net.weight, 0.25)

    state = th.get_rng_state()
    params = (
        LearnerDistribution().bind(Odd, {}, OBSERVATIONS, ACTIONS).sample(2, th.Generator().manual_seed(0)).groups[0].params
    )
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
    with pytest.raises(TypeError, match="ends in Bilinear"):
        train(RidgeHead(), Learners([(StackedNetwork(network), stack_parameters([network]))]), th.randn(3, 5), th.randn(3, 3),
              RidgeHead().initial_parameters())  # fmt: skip
    with pytest.raises(ValueError, match="`ridge` must be positive"):
        RidgeHead(0.0)


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
    loop = GradientSteps(4, 1.0)
    x, y = th.randn(4, 5, requires_grad=True), th.randn(4, 3, requires_grad=True)
    learned = {name: value.requires_grad_() for name, value in loop.initial_parameters().items()}
    initial = Learners([(StackedNetwork(network), params)])
    taught = train(loop, initial, x, y, learned)
    assert int(taught.n_discarded) == 0
    assert all(th.equal(value[1], params[name][1]) for name, value in taught.groups[0].params.items())
    outputs = taught(th.randn(3, 2, 5))
    gradients = th.autograd.grad(outputs[[0, 2]].square().sum() + outputs[1].mean(), [x, y, *learned.values()])
    assert all(gradient.isfinite().all() and gradient.abs().sum() > 0 for gradient in gradients)
    assert 0 < int(taught.n_discarded) <= 3
    assert int(train(loop, initial, x, y, learned).n_discarded) == 0  # each call counts for itself


def test_one_rate_for_each_step_may_be_a_plain_list():
    loop = GradientSteps(2, [0.1, 1.0])
    th.testing.assert_close(loop.initial_parameters()["log_inner_learning_rates"].exp(), th.tensor([[0.1], [1.0]]))
    with pytest.raises(ValueError, match="`inner_rate_per_role` must be True or False, got 'no'"):
        GradientSteps(per_role="no")


def test_a_custom_extractor_has_no_first_layer():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(5, 6)

        def forward(self, x):
            return self.layer(x) * 2

    sequential = Network(nn.Flatten(), nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 4)), nn.Linear(4, 3))
    roles = {name: ROLES[role] for name, role in role_of_parameters(sequential).items()}
    assert roles["latent.0.weight"] == "input_weights" and roles["latent.2.bias"] == "hidden_biases"
    assert roles["head.weight"] == "output_weights"
    roles = role_of_parameters(Network(Own(), nn.Linear(6, 4), nn.Linear(4, 3)))
    assert ROLES[roles["features.layer.weight"]] == ROLES[roles["latent.weight"]] == "hidden_weights"
