"""Which networks are drawn, in which shapes and with which laws."""

from collections import Counter

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticCnnPolicy, ActorCriticPolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import DQNPolicy
from stable_baselines3.sac.policies import SACPolicy
from torch import nn

from sb3_distill import PPMO, LearnerDistribution, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.evaluation.grids import RANDOM, load_grid, random_cells
from sb3_distill.learners.architecture import ACTIVATIONS
from sb3_distill.learners.component import LearnerComponent
from sb3_distill.learners.named import NAMED, TABLE_1

OBSERVATIONS, ACTIONS = spaces.Box(-1, 1, (5,)), spaces.Discrete(3)


def sampler(value, policy=ActorCriticPolicy, observations=OBSERVATIONS, **policy_kwargs):
    return LearnerDistribution.parse(value).bind(policy, policy_kwargs, observations, ACTIONS)


def draws(value, n=60, m=4, seed=0):
    """Layers, width and activation of each drawn group."""
    generator, source = th.Generator().manual_seed(seed), sampler(value)
    for _ in range(n):
        for group in source.sample(m, generator).groups:
            layers = list(group.network.template.latent)
            linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
            yield len(linear), linear[0].out_features, type(layers[-1]), layers, group.params


@pytest.mark.parametrize("name", NAMED)
def test_every_named_distribution_teaches(name):
    learners = SyntheticDataset.load("NDCartPole1D-v0").teach(
        LearnerDistribution.parse(name)
        .bind(ActorCriticPolicy, {}, spaces.Box(-np.inf, np.inf, (4,)), spaces.Discrete(2))
        .sample(6, th.Generator().manual_seed(0))
    )
    assert learners(th.zeros(6, 2, 4)).shape == (6, 2, 2)


def test_the_columns_of_table_1_are_the_papers():
    assert {width for _, width, *_ in draws("random-h")} <= set(range(32, 256))
    for depth, width, activation, *_ in draws("random-l"):
        assert 1 <= depth <= 6
        assert width == 64
        assert activation is nn.Identity
    for _, _, activation, _, params in draws("xe", n=20):
        assert activation is nn.Tanh
        assert abs(params["latent.2.weight"].std() / (2**0.5 * (2 / 128) ** 0.5) - 1) < 0.1
        assert params["head.weight"].std() < 0.01
    assert len(TABLE_1) == 7


def test_ranges_choices_and_norms_are_drawn_from():
    component = {"width": [4, 6], "depth": [1, 3], "activation": ["relu", "silu"], "layer_norm": 0.5}
    found = list(draws(component))
    assert {depth for depth, *_ in found} == {1, 2, 3}
    assert {width for _, width, *_ in found} == {4, 5, 6}
    assert {activation for _, _, activation, *_ in found} == {nn.ReLU, nn.SiLU}
    normed = [any(isinstance(layer, nn.LayerNorm) for layer in layers) for *_, layers, _ in found]
    assert 0.3 < np.mean(normed) < 0.7


def test_shapes_are_bounded_and_equal_ones_are_stacked():
    generator = th.Generator().manual_seed(0)
    wide = sampler({"width": [8, 200]})
    for _ in range(20):
        learners = wide.sample(16, generator)
        assert len(learners.groups) <= 4
        assert learners.n_learners == 16
    one_shape = sampler([{"init": "orthogonal"}, {"init": "xavier_normal"}, {"init": "pytorch"}])
    assert all(len(one_shape.sample(16, generator).groups) == 1 for _ in range(10))


def test_weights_are_frequencies():
    components = [{"width": 8, "weight": 3}, {"width": 16, "weight": 1}]
    counts = Counter(width for _, width, *_, params in draws(components, n=300) for _ in range(len(params["head.bias"])))
    assert 0.68 < counts[8] / counts.total() < 0.82


def test_the_generator_decides_and_the_global_one_does_not_notice():
    state = th.get_rng_state()
    first, second = (sampler("wide").sample(8, th.Generator().manual_seed(3)) for _ in range(2))
    assert th.equal(state, th.get_rng_state())
    for one, other in zip(first.groups, second.groups, strict=True):
        assert str(one.network.template) == str(other.network.template)
        assert all(th.equal(one.params[name], other.params[name]) for name in one.params)


def test_layers_are_drawn_behind_any_features_extractor():
    images = spaces.Box(0, 255, (3, 40, 40), np.uint8)
    mixed = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Discrete(4)})
    generator = th.Generator().manual_seed(0)
    learners = sampler({"width": 12, "depth": 2}, ActorCriticCnnPolicy, images).sample(2, generator)
    assert learners(th.rand(2, 3, 3, 40, 40)).shape == (2, 3, 3)
    learners = sampler({"width": 12}, MultiInputActorCriticPolicy, mixed).sample(2, generator)
    assert learners({"a": th.rand(2, 3, 2), "b": th.rand(2, 3, 4)}).shape == (2, 3, 3)


def test_custom_policies_and_extractors_are_components():
    class Squares(BaseFeaturesExtractor):
        def __init__(self, space):
            super().__init__(space, 7)
            self.layer = nn.Linear(5, 7)

        def forward(self, observations):
            return self.layer(observations) ** 2

    components = [
        {"policy": ActorCriticPolicy, "policy_kwargs": {"features_extractor_class": Squares, "net_arch": [9]}},
        {"policy": DQNPolicy, "policy_kwargs": {"net_arch": [11]}},
        {},
    ]
    distribution = LearnerDistribution.parse(components)
    learners = distribution.bind(ActorCriticPolicy, {}, OBSERVATIONS, ACTIONS).sample(30, th.Generator().manual_seed(0))
    assert learners(th.rand(30, 2, 5)).shape == (30, 2, 3)
    assert len(learners.groups) > 1
    assert distribution.to_json()[1] == {"policy": "DQNPolicy", "policy_kwargs": {"net_arch": [11]}}


def test_a_mixture_is_distilled_saved_and_said_in_the_file(tmp_path):
    env = make_vec_env("NDCartPole1D-v0", 8)
    model = PPMO("MlpPolicy", env, n_steps=8, n_learners=8, learner_distribution="wide", n_instances=4, seed=0)
    model.learn(192)
    model.save(tmp_path / "model.zip")
    assert PPMO.load(tmp_path / "model.zip", env=env).learn(64, reset_num_timesteps=False).num_timesteps > 192
    assert LearnerDistribution.parse(model.dataset.info.learner_distribution) == LearnerDistribution.parse("wide")


@pytest.mark.parametrize(
    "value, message",
    [
        ("nonsense", "unknown `learner_distribution` 'nonsense'; known are lambda"),
        ([], "must be None, a name"),
        (3, "must be None, a name"),
        ([{"nonsense": 1}], "unknown keys .'nonsense'.*known are .'activation'"),
        ({"init": "nonsense"}, "unknown init 'nonsense'.*orthogonal"),
        ({"activation": ["tanh", "sine"]}, f"unknown activation 'sine'.*{', '.join(ACTIVATIONS)}"),
        ({"activation": []}, "`activation`.*empty"),
        ({"weight": 0}, "`weight`.*positive"),
        ({"last_gain": -1.0}, "`last_gain`.*positive"),
        ({"width": 0}, "`width`.*whole number from 1"),
        ({"width": [8, 4]}, "`width`.*range"),
        ({"depth": [0, 2]}, "`depth`.*range"),
        ({"depth": 1.5}, "`depth`.*whole number"),
        ({"layer_norm": 2.0}, "`layer_norm`.*probability"),
    ],
)
def test_what_cannot_be_drawn_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        LearnerDistribution.parse(value)


def test_a_component_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match="ActorCriticCnnPolicy in `learner_distribution` does not fit"):
        sampler({"policy": ActorCriticCnnPolicy}).sample(1, th.Generator())
    with pytest.raises(ValueError, match="draws layers for actor-critic policies"):
        sampler({"policy": DQNPolicy, "width": 8}).sample(1, th.Generator())


def test_the_committed_grid_is_what_its_seed_draws():
    cells = load_grid(RANDOM)
    assert cells == random_cells()
    assert len(cells) == 64
    assert {cell["activation"] for cell in cells.values()} == set(ACTIVATIONS)


def test_a_grid_is_evaluated_cell_by_cell(tmp_path):
    cells = {"small": {"width": 8}, "deep": {"depth": 3}}
    found = evaluate_learners("NDCartPole1D-v0", 2, 2, grid=cells)
    assert list(found) == ["small", "deep"]
    assert found["small"].returns.shape == (2, 2)
    (tmp_path / "own.json").write_text('{"a": {"init": "pytorch"}}')
    assert list(load_grid(tmp_path / "own.json")) == ["a"]
    for wrong, message in (("nonsense", "known are table1, random64, random64b, factors"), ({}, "at least one")):
        with pytest.raises(ValueError, match=message):
            load_grid(wrong)


def test_own_parameters_of_custom_modules_are_drawn_by_their_own_code():
    class Gated(BaseFeaturesExtractor):
        def __init__(self, space):
            super().__init__(space, 7)
            self.layer, self.gate, self.norm = nn.Linear(5, 7), nn.Parameter(th.full((7,), 0.5)), nn.BatchNorm1d(7)

        def forward(self, observations):
            return self.norm(self.layer(observations).tanh() * self.gate)

    kwargs = {"features_extractor_class": Gated}
    for component in ({"init": "xavier_normal"}, {"init": "orthogonal", "width": 16}):
        distribution = LearnerDistribution.parse({**component, "policy_kwargs": kwargs})
        learners = distribution.bind(ActorCriticPolicy, {}, OBSERVATIONS, ACTIONS).sample(3, th.Generator().manual_seed(0))
        (group,) = learners.groups
        params = group.params
        assert th.equal(params["features.gate"], th.full((3, 7), 0.5))
        assert th.equal(params["features.norm.weight"], th.ones(3, 7))
        assert params["features.layer.weight"].std() > 0
        assert learners(th.rand(3, 2, 5)).abs().max() > 0


def test_components_that_do_not_fit_are_refused_before_learning():
    class OwnLayers(ActorCriticPolicy):
        def _build_mlp_extractor(self):
            super()._build_mlp_extractor()
            self.mlp_extractor.__class__ = type("Own", (type(self.mlp_extractor),), {})

    def bound(component, action_space=ACTIONS):
        return LearnerDistribution.parse(component).bind(ActorCriticPolicy, {}, OBSERVATIONS, action_space)

    with pytest.raises(ValueError, match=r"SACPolicy in `learner_distribution` has 1 outputs, Discrete\(3\) needs 3"):
        bound({"policy": SACPolicy, "policy_kwargs": {}})
    with pytest.raises(ValueError, match="DQNPolicy in `learner_distribution` does not fit"):
        bound({"policy": DQNPolicy, "policy_kwargs": {}}, spaces.Box(-1, 1, (2,)))
    with pytest.raises(ValueError, match="OwnLayers has its own Own: give only `init`"):
        bound({"policy": OwnLayers, "width": 16})
    assert bound({"policy": OwnLayers, "init": "xavier_normal"}).sample(2, th.Generator()).n_learners == 2


@pytest.mark.parametrize(
    "component, message",
    [
        ({"policy": "MlpPolicy"}, "must be an SB3 policy class, got 'MlpPolicy'"),
        ({"layer_norm": "yes"}, "`layer_norm`.*a probability, got yes"),
        ({"activation": 3}, "`activation`.*a name or a list of names, got 3"),
        ({"weight": float("inf")}, "`weight`.*positive, got inf"),
    ],
)
def test_values_of_another_kind_are_refused(component, message):
    with pytest.raises(ValueError, match=message):
        LearnerDistribution.parse(component)


def test_there_must_be_something_to_draw():
    with pytest.raises(ValueError, match="at least one component and one shape"):
        LearnerDistribution(())
    component = LearnerComponent(width=8)
    assert LearnerDistribution.parse([component]) == LearnerDistribution.parse({"width": 8})
