"""Carried labels against the plain definition, finite differences, and what the definition promises."""

import pytest
import torch as th
from perceptrons import draw
from plain_carry import plain_carry
from torch import nn

from sb3_distill.inner_loop.carry import Carry
from sb3_distill.inner_loop.loop import train
from sb3_distill.learners.population import Learners
from sb3_distill.networks.anatomy import Network
from sb3_distill.networks.stacked import StackedNetwork


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
