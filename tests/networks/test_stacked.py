"""Forward passes of many networks at once, and the roles of their parameters."""

import pytest
import torch as th
from perceptrons import draw, perceptron
from torch import nn

from sb3_distill.networks.anatomy import Network
from sb3_distill.networks.perceptron_layers import LowRank
from sb3_distill.networks.roles import ROLES, role_of_parameters
from sb3_distill.networks.stacked import StackedNetwork, stack_parameters


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


@pytest.mark.parametrize("network", [
    perceptron(2, nn.Tanh), perceptron(2, nn.ELU), perceptron(2, nn.GELU), perceptron(2, nn.SiLU, layer_norm=True)
], ids=["tanh", "elu", "gelu", "layer norm"])  # fmt: skip
@pytest.mark.parametrize("needs_inputs", [False, True])
def test_gradients_go_to_the_factors_of_a_low_rank_change(network, needs_inputs):
    stacked, drawn = StackedNetwork(network), draw(network, 3)
    kept = th.tensor([0.6], dtype=th.double, requires_grad=True)
    x = th.randn(3, 9, 5, dtype=th.double, requires_grad=needs_inputs)
    low_rank, params = {}, {name: value.requires_grad_(name.endswith("bias")) for name, value in drawn.items()}
    for name, weight in drawn.items():
        if weight.dim() == 3 and name != "head.weight":
            right = th.randn(3, 2, weight.shape[2], dtype=th.double, requires_grad=True)
            low_rank[name] = LowRank(kept, right, th.randn(2, weight.shape[1], dtype=th.double))
            params[name] = kept * weight + low_rank[name].pattern.mT @ right
    learned = [kept, *(factor.right for factor in low_rank.values()), *([x] if needs_inputs else [])]
    learned += [value for name, value in params.items() if name.endswith("bias")]
    assert len(low_rank) == 2
    ours, theirs = stacked(params, x, low_rank), stacked.differentiable(params, x)
    th.testing.assert_close(ours, theirs)
    weights = th.randn_like(ours)
    gradients = [th.autograd.grad((outputs * weights).sum(), learned, retain_graph=True) for outputs in (ours, theirs)]
    th.testing.assert_close(*gradients)


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


def test_a_custom_extractor_has_no_first_layer():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(5, 6)

        def forward(self, x):
            return self.layer(x) * 2

    sequential = Network(nn.Flatten(), nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 4)), nn.Linear(4, 3))
    roles = {name: ROLES[role] for name, role in role_of_parameters(sequential).items()}
    assert roles["latent.0.weight"] == "input_weights"
    assert roles["latent.2.bias"] == "hidden_biases"
    assert roles["head.weight"] == "output_weights"
    roles = role_of_parameters(Network(Own(), nn.Linear(6, 4), nn.Linear(4, 3)))
    assert ROLES[roles["features.layer.weight"]] == ROLES[roles["latent.weight"]] == "hidden_weights"
