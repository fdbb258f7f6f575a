"""Carried labels against the plain definition, finite differences, and what the definition promises."""

import warnings

import pytest
import torch as th
from perceptrons import draw
from plain_carry import plain_carry
from torch import nn

from sb3_distill.inner_loop.carry import Carry
from sb3_distill.inner_loop.loop import train
from sb3_distill.inner_loop.ridge_head import RidgeHead
from sb3_distill.learners.population import Learners
from sb3_distill.networks.anatomy import Network
from sb3_distill.networks.stacked import StackedNetwork, stack_parameters


def chain(*layers, n_in=5, n_out=3, bias=True):
    """A network of ``layers``: a number is a linear layer of that width, a class a layer norm or an activation."""
    modules, width = [], n_in
    for layer in layers:
        if isinstance(layer, int):
            modules.append(nn.Linear(width, layer, bias=bias))
            width = layer
        else:
            modules.append(layer(width) if layer is nn.LayerNorm else layer())
    return Network(nn.Flatten(), nn.Sequential(*modules), nn.Linear(width, n_out, bias=bias)).double()


def learned(ridge=0.1, strength=2.0):
    values = {"log_ridge": th.tensor([ridge]).double().log(), "carry_logit": th.tensor([strength]).double().square().log()}
    return {name: value.requires_grad_() for name, value in values.items()}


NETWORKS = {
    "tanh": chain(7, nn.Tanh, 6, nn.Tanh),
    "relu": chain(7, nn.ReLU, 6, nn.ReLU),
    "elu": chain(7, nn.ELU, 7, nn.ELU),
    "silu": chain(7, nn.SiLU, 7, nn.SiLU),
    "gelu": chain(7, nn.GELU, 7, nn.GELU),
    "identity": chain(7, 6),
    "layer norm": chain(7, nn.LayerNorm, nn.Tanh, 6, nn.LayerNorm, nn.ReLU),
    "without bias": chain(7, nn.Tanh, 6, nn.Tanh, bias=False),
    "one label": chain(7, nn.LayerNorm, nn.Tanh, 6, nn.Tanh, n_out=1),
    "narrower than the labels": chain(2, nn.Tanh, n_out=4),
    "no hidden layer": chain(),
}


def task(network, k, m=3, seed=0):
    th.manual_seed(seed)
    n_out = network.head.out_features
    x, y = th.randn(k, 5, dtype=th.double), th.randn(k, n_out, dtype=th.double)
    return draw(network, m), x.requires_grad_(), y.requires_grad_()


def gradient(loss, inputs):
    return th.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("k", [4, 20])
@pytest.mark.parametrize("name", NETWORKS)
def test_learners_and_gradients_are_those_of_the_plain_definition(name, k):
    network = NETWORKS[name]
    params, x, y = task(network, k)
    numbers, states = learned(), th.randn(3, 9, 5, dtype=th.double)
    inputs = [x, y, *numbers.values()]
    weights = th.randn(3, 9, y.shape[1], dtype=th.double)
    plain = plain_carry(network, params, x, y, numbers["log_ridge"].exp(), (numbers["carry_logit"] / 2).exp())
    expected = StackedNetwork(network).differentiable(plain, states)
    gradients = gradient((expected * weights).sum(), inputs)
    direct = {key: th.randn_like(value) for key, value in plain.items()}
    plain_loss = sum((plain[key] * direct[key]).sum() for key in plain)
    direct_gradients = gradient(plain_loss, inputs)

    taught = train(Carry(), Learners([(StackedNetwork(network), params)]), x, y, numbers)
    outputs, ours = taught(states), taught.groups[0].params
    th.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-11)
    th.testing.assert_close(outputs, expected, rtol=1e-9, atol=1e-11)
    th.testing.assert_close(gradient((outputs * weights).sum(), inputs), gradients, rtol=1e-7, atol=1e-9)
    # Whoever uses the weights themselves has the same gradients, without the factors.
    loss = sum((ours[key] * direct[key]).sum() for key in ours)
    th.testing.assert_close(gradient(loss, inputs), direct_gradients, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["tanh", "layer norm", "without bias", "one label"])
@pytest.mark.parametrize("k", [4, 20])
def test_meta_gradient_against_finite_differences(name, k):
    network = NETWORKS[name]
    params, x, y = task(network, k, m=2)
    states = th.randn(2, 8, 5, dtype=th.double)

    def outer_loss(x, y, log_ridge, logit):
        learners = Learners([(StackedNetwork(network), params)])
        return train(Carry(), learners, x, y, {"log_ridge": log_ridge, "carry_logit": logit})(states).tanh().square().mean()

    assert th.autograd.gradcheck(outer_loss, (x, y, *learned().values()))


def test_initial_parameters_have_gradients_too():
    network = NETWORKS["tanh"]
    params, x, y = task(network, 6)
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    numbers, states = learned(), th.randn(3, 9, 5, dtype=th.double)
    plain = plain_carry(network, leaves, x, y, numbers["log_ridge"].exp(), (numbers["carry_logit"] / 2).exp())
    stacked = StackedNetwork(network)
    expected = gradient(stacked.differentiable(plain, states).square().sum(), list(leaves.values()))
    taught = train(Carry(), Learners([(stacked, leaves)]), x, y, numbers)
    th.testing.assert_close(gradient(taught(states).square().sum(), list(leaves.values())), expected, rtol=1e-7, atol=1e-9)


def test_a_weak_carry_is_the_ridge_head():
    network = NETWORKS["layer norm"]
    params, x, y = task(network, 6)
    numbers = learned(strength=1e-8)
    states = th.randn(3, 9, 5, dtype=th.double)
    learners = Learners([(StackedNetwork(network), params)])
    carried, headed = (train(loop, learners, x, y, numbers)(states) for loop in (Carry(), RidgeHead()))
    th.testing.assert_close(carried, headed, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["relu", "identity", "layer norm"])
def test_initial_weights_play_no_part_in_a_strong_carry(name):
    # The size that a layer had is kept. What follows here does not see the size, and the head starts from zero.
    network = NETWORKS[name]
    params, x, y = task(network, 12, m=4)
    params |= {key: th.zeros_like(value) for key, value in params.items() if key.startswith("head")}
    states = th.randn(20, 5, dtype=th.double).expand(4, 20, 5)
    learners = Learners([(StackedNetwork(network), params)])
    with th.no_grad():
        strong, head = (train(loop, learners, x, y, learned(0.01, 1e6))(states) for loop in (Carry(), RidgeHead()))
    assert (head[1] - head[0]).abs().max() > 0.1
    th.testing.assert_close(strong[1:], strong[:1].expand(3, -1, -1), rtol=0, atol=1e-2)


def test_labels_are_fitted():
    network = chain(24, nn.Tanh, 24, nn.Tanh)
    params, x, y = task(network, 6, m=5)
    taught = train(Carry(), Learners([(StackedNetwork(network), params)]), x, y, learned(1e-4))
    th.testing.assert_close(taught(x.expand(5, 6, 5)), y.expand(5, 6, 3), atol=0.02, rtol=0)


@pytest.mark.parametrize("activation", [nn.Tanh, nn.Identity])
def test_features_keep_their_size_at_any_depth(activation):
    network = chain(*[24, activation] * 8)
    params, x, y = task(network, 8)
    stacked = StackedNetwork(network)
    taught = train(Carry(), Learners([(stacked, params)]), x, y, learned(0.01, 10.0)).groups[0].params
    inputs = x.expand(3, 8, 5)
    for name, module, call in stacked.links[:-1]:
        drawn, inputs = call(params, inputs), call(taught, inputs)
        if isinstance(module, nn.Linear):
            ratio = inputs.var(dim=(1, 2)) / drawn.var(dim=(1, 2))
            assert (ratio.log().abs() < 1.6).all(), name


def test_a_layer_norm_leaves_room_where_a_single_label_is_zero():
    # Without the offset, units of an instance whose label is the mean would all be alike, and their size would be zero.
    network = chain(8, nn.LayerNorm, nn.Identity, n_out=1)
    params, x, _ = task(network, 3)
    y = th.tensor([[-1.0], [0.0], [1.0]], dtype=th.double)
    stacked = StackedNetwork(network)
    taught = train(Carry(), Learners([(stacked, params)]), x, y, learned(1e-3, 100.0)).groups[0].params
    units = stacked.links[1].call(taught, x.expand(3, 3, 5))
    assert (units.std(dim=2) > 0.5 * units.std(dim=2).amax(dim=1, keepdim=True)).all()


@pytest.mark.parametrize("case", ["one instance", "labels alike", "observations alike"])
@pytest.mark.parametrize("name", ["tanh", "layer norm", "without bias"])
def test_degenerate_batches_have_finite_learners_and_gradients(name, case):
    network = NETWORKS[name]
    params, x, y = task(network, 1 if case == "one instance" else 6)
    if case == "labels alike":
        y = y[:1].expand(6, -1)
    if case == "observations alike":
        x = x[:1].expand(6, -1)
    x, y, numbers = x.detach().clone().requires_grad_(), y.detach().clone().requires_grad_(), learned()
    taught = train(Carry(), Learners([(StackedNetwork(network), params)]), x, y, numbers)
    outputs = taught(th.randn(3, 9, 5, dtype=th.double))
    assert outputs.isfinite().all()
    assert all(value.isfinite().all() for value in gradient(outputs.square().mean(), [x, y, *numbers.values()]))


def test_what_cannot_be_carried_is_refused_by_name():
    network = Network(nn.Flatten(), nn.Linear(5, 4), nn.Bilinear(2, 2, 3))
    learners = Learners([(StackedNetwork(network), stack_parameters([network]))])
    with pytest.raises(TypeError, match="module `head` of this network is a Bilinear"):
        train(Carry(), learners, th.randn(3, 5), th.randn(3, 3), Carry().initial_parameters())
    network = chain(2, nn.LayerNorm, nn.Tanh)
    params, x, y = task(network, 4)
    with pytest.raises(TypeError, match=r"layer norm over fewer than 3 units \(module `latent.1`\)"):
        train(Carry(), Learners([(StackedNetwork(network), params)]), x, y, learned())
    for argument in ("strength", "ridge"):
        with pytest.raises(ValueError, match=f"`(carry_)?{argument}` must be positive and finite"):
            Carry(**{argument: 0.0})


class Custom(nn.Module):
    """An extractor with code of its own."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 6)

    def forward(self, x):
        return self.layer(x["vector"] if isinstance(x, dict) else x).sin()


@pytest.mark.parametrize("observe", [lambda x: x, lambda x: {"vector": x}], ids=["tensor", "dict"])
def test_of_a_custom_network_the_head_alone_is_solved_with_one_warning(observe):
    network = Network(Custom(), nn.Sequential(nn.Linear(6, 7), nn.Tanh()), nn.Linear(7, 3)).double()
    params, x, y = task(network, 6)
    learners, states = Learners([(StackedNetwork(network), params)]), th.randn(3, 9, 5, dtype=th.double)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            taught = train(Carry(), learners, observe(x), y, learned())
    assert [str(one.message) for one in caught] == [
        "labels are carried through chains of layers: of this network (features: Custom, latent: Sequential, head: Linear) "
        "the head alone is solved"
    ]
    headed = train(RidgeHead(), learners, observe(x), y, learned())
    th.testing.assert_close(taught(observe(states)), headed(observe(states)))


def test_convolutions_stay_as_drawn_and_linear_layers_behind_them_carry():
    features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 7), nn.Tanh())
    network = Network(features, nn.Sequential(nn.Linear(7, 6), nn.Tanh()), nn.Linear(6, 3)).double()
    params = draw(network, 3)
    x, y = th.randn(6, 1, 5, 5, dtype=th.double, requires_grad=True), th.randn(6, 3, dtype=th.double, requires_grad=True)
    numbers, states = learned(), th.randn(3, 9, 1, 5, 5, dtype=th.double)
    plain = plain_carry(network, params, x, y, numbers["log_ridge"].exp(), (numbers["carry_logit"] / 2).exp())
    taught = train(Carry(), Learners([(StackedNetwork(network), params)]), x, y, numbers)
    ours = taught.groups[0].params
    th.testing.assert_close(ours, plain)
    assert ours["features.0.weight"] is params["features.0.weight"]
    expected = gradient(StackedNetwork(network)(plain, states).square().sum(), [x, y, *numbers.values()])
    th.testing.assert_close(gradient(taught(states).square().sum(), [x, y, *numbers.values()]), expected)


def test_layers_behind_an_encoder_carry():
    network = chain(7, nn.Tanh, 6, nn.Tanh)
    encoder = nn.Sequential(nn.Linear(9, 5), nn.Tanh()).double()
    params, _, y = task(network, 6)
    x = th.randn(6, 9, dtype=th.double)
    learners = Learners([(StackedNetwork(network), params)], encode=encoder)
    taught = train(Carry(), learners, encoder(x), y, learned(1e-3))
    plain = train(Carry(), Learners([(StackedNetwork(network), params)]), encoder(x), y, learned(1e-3))
    th.testing.assert_close(taught(x.expand(3, 6, 9)), plain(encoder(x).expand(3, 6, 5)))
    weights = gradient(taught(x.expand(3, 6, 9)).square().sum(), [encoder[0].weight])
    assert weights[0].abs().max() > 0
