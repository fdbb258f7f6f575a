"""Encoders: where an actor can be cut, and gradients of the first part through inner learning."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import OwnExtractor
from stable_baselines3.common.policies import ActorCriticCnnPolicy, ActorCriticPolicy, MultiInputActorCriticPolicy
from torch import nn

from sb3_distill import PPMO, SyntheticDataset, make_vec_env
from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.inner_loop.gradient_steps import GradientSteps
from sb3_distill.networks.anatomy import actor_of
from sb3_distill.networks.encoder import Encoder, encoder_levels, split

VECTOR = spaces.Box(-np.inf, np.inf, (8,))
IMAGE = spaces.Box(0, 255, (4, 36, 36), np.uint8)
BOTH = spaces.Dict({"image": IMAGE, "vector": VECTOR})
ACTIONS = spaces.Discrete(4)
SMALL = dict(n_steps=32, batch_size=128, n_epochs=2, policy_kwargs=dict(net_arch=[16, 12]), seed=0)


def policy_of(kind, space, **kwargs):
    th.manual_seed(0)
    return kind(space, ACTIONS, lambda _: 0.0, share_features_extractor=False, **kwargs)


POLICIES = {
    "mlp": (ActorCriticPolicy, VECTOR, {}, 3),
    "linear": (ActorCriticPolicy, VECTOR, dict(net_arch=[]), 1),
    "cnn": (ActorCriticCnnPolicy, IMAGE, {}, 5),
    "cnn and layers": (ActorCriticCnnPolicy, IMAGE, dict(net_arch=[7]), 6),
    "dict": (MultiInputActorCriticPolicy, BOTH, dict(net_arch=[9]), 3),
    "custom": (ActorCriticPolicy, VECTOR, dict(features_extractor_class=OwnExtractor, net_arch=[9]), 3),
}


def inputs(space, n=3):
    if isinstance(space, spaces.Dict):
        return {key: inputs(sub, n) for key, sub in space.spaces.items()}
    return th.rand(n, *space.shape)


@pytest.mark.parametrize("name", POLICIES)
def test_encoder_and_rest_are_the_actor(name):
    kind, space, kwargs, levels = POLICIES[name]
    actor = actor_of(policy_of(kind, space, **kwargs))
    assert encoder_levels(actor) == levels
    x, names = inputs(space), dict(actor.named_parameters())
    for n_layers in range(levels + 1):
        encoder, rest = split(actor, n_layers)
        assert (encoder is None) == (n_layers == 0)
        assert (rest is None) == (n_layers == levels)
        encoded = x if encoder is None else encoder(x)
        th.testing.assert_close(encoded if rest is None else rest(encoded), actor(x))
        found = {name: value for part in (encoder, rest) if part is not None for name, value in part.named_parameters()}
        assert found.keys() == names.keys()
        assert all(found[name] is names[name] for name in names)


def test_levels_that_a_network_does_not_have():
    actor = actor_of(policy_of(ActorCriticCnnPolicy, IMAGE))
    described = r"1: Conv2d, 2: Conv2d, 3: Conv2d, 4: Linear, 5: Linear"
    for wrong in (6, -1, True, 1.5):
        with pytest.raises(
            ValueError, match=rf"`encoder_layers` must be a whole number from 0 to 5 .*{described}.*got {wrong}"
        ):
            split(actor, wrong)
    with pytest.raises(ValueError, match="from 0 to 3 for this network"):
        PPMO("MlpPolicy", "CartPole-v1", encoder_layers=4)


def test_behind_a_custom_mlp_extractor_is_no_place_to_cut():
    class Extractor(nn.Module):
        latent_dim_pi = latent_dim_vf = 5

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 5)

        def forward_actor(self, features):
            return self.layer(features)

        forward_critic = forward_actor

        def forward(self, features):
            return self.layer(features), self.layer(features)

    class Policy(ActorCriticPolicy):
        def _build_mlp_extractor(self):
            self.mlp_extractor = Extractor()

    actor = actor_of(policy_of(Policy, VECTOR))
    assert encoder_levels(actor) == 0
    with pytest.raises(ValueError, match="from 0 to 0 for this network .nothing in it can be cut"):
        split(actor, 1)
    behind = actor_of(policy_of(Policy, VECTOR, features_extractor_class=OwnExtractor, features_extractor_kwargs={}))
    assert encoder_levels(behind) == 1


class Sine(nn.Module):
    def forward(self, x):
        return x.sin()


def test_activations_of_ones_own():
    actor = actor_of(policy_of(ActorCriticPolicy, VECTOR, net_arch=[9, 8], activation_fn=Sine))
    x = inputs(VECTOR)
    assert encoder_levels(actor) == 3
    for n_layers in (1, 2):
        encoder, rest = split(actor, n_layers)
        th.testing.assert_close(rest(encoder(x)), actor(x))
    kwargs = {**SMALL, "policy_kwargs": dict(net_arch=[9], activation_fn=Sine)}
    PPMO("MlpPolicy", make_vec_env("NDCartPole1D-v0", 8, seed=0), encoder_layers=1, **kwargs).learn(256)


def test_gradients_of_the_encoder_in_double_precision():
    th.manual_seed(0)
    actor = actor_of(policy_of(ActorCriticPolicy, VECTOR, net_arch=[6, 5])).double()
    layers, rest = split(actor, 1)
    encoder = Encoder(dict(layers.named_parameters()), 1, {})
    loop = GradientSteps(learning_rate=0.7)
    info = DatasetInfo(VECTOR, ACTIONS, inner_loop=loop.settings())
    dataset = SyntheticDataset(th.randn(3, 8), th.randn(3, 4), loop, info, encoder=encoder).double()
    from sb3_distill.learners.population import Learners
    from sb3_distill.networks.stacked import StackedNetwork, stack_parameters

    initial = Learners([(StackedNetwork(rest), stack_parameters([rest, rest]))], encoder_layers=layers)
    x, target = th.randn(2, 5, 8).double(), th.randn(2, 5, 4).double()

    def loss():
        return (dataset.teach(initial)(x) * target).sum()

    for parameter in [*encoder.parameters(), dataset.observations, dataset.labels]:
        (gradient,) = th.autograd.grad(loss(), parameter)
        flat, step = parameter.data.view(-1), 1e-6
        for i in range(0, flat.numel(), max(1, flat.numel() // 7)):
            before = flat[i].item()
            flat[i] = before + step
            up = loss().item()
            flat[i] = before - step
            down = loss().item()
            flat[i] = before
            assert gradient.view(-1)[i].item() == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-7)


def test_parameters_of_an_encoder_that_goes_on_have_the_order_of_the_network(tmp_path):
    """The state of an optimiser has no names: in another order it is that of other parameters after ``load``."""
    env = make_vec_env("CartPole-v1", n_envs=2, seed=0)
    few = dict(encoder_layers=2, n_learners=2, n_steps=8, batch_size=8, seed=0)
    PPMO("MlpPolicy", env, **few).dataset.save(tmp_path / "set.safetensors")
    for _ in range(5):  # the order of a file that is read is a random one
        model = PPMO("MlpPolicy", env, initial_dataset=tmp_path / "set.safetensors", **few)
        names = [name for name, _ in model.dataset.encoder.named_parameters()]
        assert names == ["latent.0.weight", "latent.0.bias", "latent.2.weight", "latent.2.bias"]
