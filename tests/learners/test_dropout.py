"""A learner without some of its units is a narrower network."""

import pytest
import torch as th
from gymnasium import spaces
from helpers import OwnExtractor
from stable_baselines3.common.policies import ActorCriticCnnPolicy, ActorCriticPolicy
from torch import nn

from sb3_distill.errors import UnsupportedError
from sb3_distill.inner_loop import make_inner_loop, train
from sb3_distill.learners.distribution import LearnerDistribution
from sb3_distill.learners.dropout import drop_units, narrower
from sb3_distill.learners.population import Learners

OBSERVATIONS, ACTIONS = spaces.Box(-1, 1, (5,)), spaces.Discrete(3)


def generator(seed=0):
    return th.Generator().manual_seed(seed)


def learners_of(distribution, n=4, policy=ActorCriticPolicy, observation_space=OBSERVATIONS, **policy_kwargs):
    sampler = LearnerDistribution.parse(distribution).bind(policy, policy_kwargs, observation_space, ACTIONS)
    return sampler.sample(n, generator())


def without_units(group, rate, seed=0):
    return drop_units(group, narrower(group.network, rate), generator(seed))


@pytest.mark.parametrize("norm", [False, True])
def test_a_share_of_the_units_of_every_hidden_layer_is_left_out(norm):
    cell = {"width": 20, "depth": 2, "layer_norm": norm, "activation": "relu", "init": "pytorch"}
    (group,) = learners_of(cell).groups
    smaller = without_units(group, 0.3)
    shapes = {name: tuple(value.shape) for name, value in smaller.params.items()}
    norms = {f"latent.{i}.{kind}": (4, 14) for i in (1, 4) for kind in ("weight", "bias") if norm}
    second = 3 if norm else 2
    assert shapes == {
        "latent.0.weight": (4, 14, 5), "latent.0.bias": (4, 14), f"latent.{second}.weight": (4, 14, 14),
        f"latent.{second}.bias": (4, 14), "head.weight": (4, 3, 14), "head.bias": (4, 3), **norms,
    }  # fmt: skip
    assert shapes == {name: (4, *value.shape) for name, value in smaller.network.template.named_parameters()}
    assert smaller.network.batched
    kept = [{row for row in range(20) if (group.params["latent.0.weight"][i, row] == w).all(dim=-1).any()}
            for i, w in enumerate(smaller.params["latent.0.weight"])]  # fmt: skip
    assert all(len(units) == 14 for units in kept)
    assert len(set(map(frozenset, kept))) == 4  # each learner loses other ones


def test_it_is_the_network_with_a_mask():
    (group,) = learners_of({"width": 12, "depth": 1, "activation": "silu", "init": "pytorch"}, n=1).groups
    smaller = without_units(group, 0.5)
    rows, kept = group.params["latent.0.weight"][0], smaller.params["latent.0.weight"][0]
    mask = th.tensor([bool((row == kept).all(dim=1).any()) for row in rows])
    x = th.randn(1, 9, 5)
    hidden = group.network.latent(group.params, x) * mask * 2**0.5
    expected = group.network.head(group.params, hidden)
    th.testing.assert_close(smaller.network(smaller.params, x), expected)


@pytest.mark.parametrize("loop", ["sgd", "ridge", "carry"])
def test_it_stays_so_in_teaching(loop):
    (group,) = learners_of({"width": 16, "depth": 2, "activation": "tanh"}).groups
    inner_loop = make_inner_loop(loop)
    x, y = th.randn(6, 5), th.randn(6, 3)
    taught = train(inner_loop, Learners([without_units(group, 0.5)]), x, y, inner_loop.initial_parameters())
    assert taught.groups[0].params["latent.2.weight"].shape == (4, 8, 8)
    before = (Learners([group])(x.expand(4, 6, 5)) - y).square().mean()
    assert (taught(x.expand(4, 6, 5)) - y).square().mean() < before


def test_outputs_keep_their_size():
    cell = {"width": 256, "depth": 3, "activation": "relu", "init": "kaiming_normal", "last_gain": 1.0}
    (group,) = learners_of(cell, n=32).groups
    x = th.randn(32, 50, 5)
    smaller = without_units(group, 0.5)
    assert smaller.network(smaller.params, x).std() == pytest.approx(group.network(group.params, x).std().item(), rel=0.15)


def test_a_few_units_stay():
    (group,) = learners_of({"width": 4, "depth": 1, "layer_norm": True}).groups
    assert without_units(group, 0.9).params["latent.0.weight"].shape == (4, 3, 5)


def test_convolutions_keep_their_channels():
    images = spaces.Box(0, 255, (1, 36, 36), "uint8")
    (group,) = learners_of(None, 2, ActorCriticCnnPolicy, images).groups
    smaller = without_units(group, 0.25)
    same = [name for name, value in group.params.items() if value.shape == smaller.params[name].shape]
    assert sorted({*group.params} - {*same}) == ["features.linear.0.bias", "features.linear.0.weight", "head.weight"]
    assert smaller.network(smaller.params, th.rand(2, 3, 1, 36, 36)).shape == (2, 3, 3)


@pytest.mark.parametrize("kwargs", [dict(net_arch=[]), dict(features_extractor_class=OwnExtractor, net_arch=[8])])
def test_a_network_without_such_layers_is_refused(kwargs):
    (group,) = learners_of(None, **kwargs).groups
    with pytest.raises(UnsupportedError, match="`dropout` in `regularizers` leaves out units between two linear layers"):
        narrower(group.network, 0.5)


def test_a_layer_before_an_unknown_module_is_kept():
    (group,) = learners_of(None, net_arch=[8, 8], activation_fn=nn.Softmax).groups
    with pytest.raises(UnsupportedError):
        narrower(group.network, 0.5)
