"""Encoders: the first layers of all learners, shared, trained with the dataset, and rolled back."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import OwnExtractor, ReachEnv
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure
from stable_baselines3.common.policies import ActorCriticCnnPolicy, ActorCriticPolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from sb3_distill import (
    PPMO,
    DatasetError,
    DistilledPolicy,
    LearnerDistribution,
    SyntheticDataset,
    evaluate_learners,
    make_vec_env,
)
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
        assert (encoder is None) == (n_layers == 0) and (rest is None) == (n_layers == levels)
        encoded = x if encoder is None else encoder(x)
        th.testing.assert_close(encoded if rest is None else rest(encoded), actor(x))
        found = {name: value for part in (encoder, rest) if part is not None for name, value in part.named_parameters()}
        assert found.keys() == names.keys() and all(found[name] is names[name] for name in names)


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


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_learning_with_an_encoder(n_layers, tmp_path):
    model = PPMO("MlpPolicy", make_vec_env("NDCartPole1D-v0", 32, seed=0), encoder_layers=n_layers, seed=0)
    first = {name: value.clone() for name, value in model.dataset.encoder.named_parameters()}
    model.learn(100_000)
    assert all(not value.equal(first[name]) for name, value in model.dataset.encoder.named_parameters())
    scores = evaluate_learners(model.dataset, 10, 5)
    assert scores.mean > 150  # random: 22
    model.dataset.save(tmp_path / "set.safetensors")
    loaded = SyntheticDataset.load(tmp_path / "set.safetensors")
    assert loaded.encoder_layers == loaded.info.encoder_layers == n_layers
    np.testing.assert_array_equal(
        evaluate_learners(loaded, 3, 2, seed=0).returns, evaluate_learners(model.dataset, 3, 2, seed=0).returns
    )
    # Policies share the encoder, and nothing else.
    policies = [actor_of(DistilledPolicy.from_dataset(loaded, seed=seed)) for seed in (0, 1)]
    shared = dict(loaded.encoder.named_parameters())
    for name, value in policies[0].named_parameters():
        other = policies[1].get_parameter(name)
        assert value.equal(other) == (name in shared)
        if name in shared:
            assert value.equal(shared[name])


def test_a_taught_policy_is_what_the_encoder_and_one_step_make(tmp_path):
    model = PPMO("CnnPolicy", ImageEnv(), n_steps=32, batch_size=16, n_epochs=1, encoder_layers=2, seed=0).learn(32)
    policy = DistilledPolicy.from_dataset(model.dataset, seed=3)
    th.manual_seed(3)
    actor = actor_of(policy_of_set(model.dataset))
    encoder = dict(model.dataset.encoder.named_parameters())
    with th.no_grad():
        for name, value in encoder.items():
            actor.get_parameter(name).copy_(value)
    loss = (actor(model.dataset.observations) - model.dataset.labels).square().mean()
    rest = {name: value for name, value in actor.named_parameters() if name not in encoder}
    features = actor.latent(actor.features(model.dataset.observations))
    rate = model.dataset.learned["log_inner_learning_rates"].exp().item() / (1 + features.square().sum(dim=1).mean().item())
    for (name, value), gradient in zip(rest.items(), th.autograd.grad(loss, rest.values()), strict=True):
        th.testing.assert_close(actor_of(policy).get_parameter(name), value - rate * gradient, atol=1e-5, rtol=1e-4)
    # The model's own policy is taught the same way.
    observation = model.observation_space.sample()
    assert model.predict(observation, deterministic=True)[0] in range(2)


def policy_of_set(dataset):
    return ActorCriticCnnPolicy(dataset.info.observation_space, dataset.info.action_space, lambda _: 0.0)


class ImageEnv(gym.Env):
    """Which half of the picture is bright?"""

    observation_space = spaces.Box(0, 255, (1, 36, 36), np.uint8)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.draw(), {}

    def draw(self):
        self.side = int(self.np_random.integers(2))
        image = np.zeros((1, 36, 36), dtype=np.uint8)
        image[:, :, 18 * self.side : 18 * self.side + 18] = 255
        return image

    def step(self, action):
        reward = float(action == self.side)
        self.steps += 1
        return self.draw(), reward, False, self.steps % 10 == 0, {}


# With four layers, features grow meanwhile: without relative rates the policy saturates, and is lost.
@pytest.mark.parametrize(("n_layers", "dtype", "n_steps"), [(0, None, 1_500), (3, "bfloat16", 1_500), (4, None, 4_000)])
def test_images_are_learned(n_layers, dtype, n_steps):
    model = PPMO(
        "CnnPolicy",
        DummyVecEnv([ImageEnv for _ in range(8)]),
        n_instances=8,
        n_learners=2,
        n_steps=16,
        batch_size=64,
        encoder_layers=n_layers,
        encoder_learning_rate=5e-4,
        dataset_init="observations",
        autocast_dtype=dtype,
        seed=0,
    )
    model.learn(n_steps)
    scores = evaluate_learners(model.dataset, 4, 5, env=lambda n: DummyVecEnv([ImageEnv for _ in range(n)]))
    assert scores.mean > 6.5  # of 10; random: 5.0 ± 0.35
    assert all(value.dtype == th.float32 for value in model.dataset.parameters())


def test_half_precision_is_for_what_networks_see():
    outputs = []
    for dtype in (None, "bfloat16"):
        model = PPMO("CnnPolicy", ImageEnv(), n_steps=8, encoder_layers=1, autocast_dtype=dtype, seed=0)
        learners = model.dataset.teach(model.distiller.sampler.sample(1, th.Generator().manual_seed(0)))
        observations = th.as_tensor(ImageEnv().reset(seed=0)[0][None])
        outputs.append(model.parts.actor.outputs(learners, observations).outputs)
    assert outputs[1].dtype == th.float32 and not outputs[0].equal(outputs[1])
    th.testing.assert_close(outputs[0], outputs[1], atol=0.02, rtol=0.02)
    with pytest.raises(ValueError, match="`autocast_dtype` must be None or one of bfloat16, got 'float16'"):
        PPMO("MlpPolicy", "CartPole-v1", autocast_dtype="float16")


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


ALL_LAYERS = {
    "discrete": ("MlpPolicy", lambda: gym.make("CartPole-v1"), 3, False),
    "continuous": ("MlpPolicy", ReachEnv, 3, False),
    "images, a features extractor each": ("CnnPolicy", ImageEnv, 5, False),
    "images, one features extractor": ("CnnPolicy", ImageEnv, 5, True),
}


@pytest.mark.parametrize("name", ALL_LAYERS)
def test_with_all_layers_in_the_encoder_it_is_ppo(name, monkeypatch):
    policy, make, levels, share = ALL_LAYERS[name]
    env = DummyVecEnv([make for _ in range(4)])
    given = dict(n_steps=32, batch_size=32, n_epochs=3, learning_rate=1e-3, ent_coef=0.01, max_grad_norm=1e9, seed=0)
    kwargs = dict(share_features_extractor=share)
    rates = dict(log_std_learning_rate=1e-3, critic_learning_rate=1e-3, encoder_learning_rate=1e-3)
    ours = PPMO(policy, env, encoder_layers=levels, n_learners=1, **given, **rates, policy_kwargs=kwargs)
    theirs = PPO(policy, env, device="cpu", **given, policy_kwargs=kwargs)
    theirs.policy.load_state_dict(ours.policy.state_dict())
    for model in (ours, theirs):
        model.set_logger(configure(None, []))
    _, callback = ours._setup_learn(128)
    ours.collect_rollouts(ours.env, callback, ours.rollout_buffer, 32)
    theirs._setup_learn(128)
    for name in ("observations", "actions", "rewards", "returns", "values", "log_probs", "advantages", "episode_starts"):
        getattr(theirs.rollout_buffer, name)[:] = getattr(ours.rollout_buffer, name)
    theirs.rollout_buffer.full = True
    order = np.random.default_rng(0).permutation(128)
    monkeypatch.setattr(np.random, "permutation", lambda n: order[:n])
    monkeypatch.setattr(th, "randperm", lambda n, generator=None: th.as_tensor(order[:n]))
    ours.train()
    theirs.train()
    updated = dict(theirs.policy.named_parameters())
    start = dict(ours.initial_actor.named_parameters())
    for name, value in ours.policy.named_parameters():
        th.testing.assert_close(value, updated[name], atol=1e-6, rtol=1e-5, msg=name)
    actor = actor_of(theirs.policy)
    for name, value in ours.dataset.encoder.named_parameters():
        th.testing.assert_close(value, actor.get_parameter(name), atol=1e-6, rtol=1e-5)
        assert not value.equal(start[name])


def test_rollback_starts_from_the_level_above(tmp_path):
    env = make_vec_env("NDCartPole1D-v0", 8, seed=0)
    above = PPMO("MlpPolicy", env, encoder_layers=2, **SMALL).learn(2_000)
    above.dataset.save(tmp_path / "l2.safetensors")
    below = PPMO("MlpPolicy", env, encoder_layers=1, encoder_from=tmp_path / "l2.safetensors", **SMALL)
    held = dict(below.dataset.encoder.named_parameters())
    assert len(held) == 2 and below.dataset.encoder_layers == below.dataset.info.encoder_layers == 1
    assert all(value.equal(above.dataset.encoder.get_parameter(name)) for name, value in held.items())
    assert below.dataset.labels.equal(above.dataset.labels)
    assert below.dataset.info.timesteps == above.dataset.info.timesteps
    below.learn(500)
    full = PPMO("MlpPolicy", env, encoder_from=below.dataset, **SMALL)
    assert full.dataset.encoder is None and full.dataset.encoder_layers == 0
    full.learn(500)


def test_what_cannot_be_started_from(tmp_path):
    env = make_vec_env("NDCartPole1D-v0", 8, seed=0)
    given = PPMO("MlpPolicy", env, encoder_layers=1, **SMALL).dataset
    with pytest.raises(
        ValueError, match="`encoder_from` must have more layers in its encoder than encoder_layers=1, it has 1; go on"
    ):
        PPMO("MlpPolicy", env, encoder_layers=1, encoder_from=given, **SMALL)
    with pytest.raises(ValueError, match="than encoder_layers=2, it has 1$"):
        PPMO("MlpPolicy", env, encoder_layers=2, encoder_from=given, **SMALL)
    with pytest.raises(ValueError, match="`initial_dataset` has 1 layers in its encoder, not encoder_layers=2"):
        PPMO("MlpPolicy", env, encoder_layers=2, initial_dataset=given, **SMALL)
    with pytest.raises(ValueError, match="exclude each other"):
        PPMO("MlpPolicy", env, encoder_from=given, initial_dataset=given, **SMALL)
    other = {**SMALL, "policy_kwargs": dict(net_arch=[20, 12])}
    message = r"first 1 layers of its learners.*`latent.0.weight` is \(20, 4\) instead of \(16, 4\)"
    for how in ("encoder_from", "initial_dataset"):
        with pytest.raises(ValueError, match=message):
            PPMO("MlpPolicy", env, **{how: given}, **other)
    # Without `encoder_layers` it is the dataset's.
    assert PPMO("MlpPolicy", env, initial_dataset=given, **SMALL).encoder_layers == 1


def test_learners_that_do_not_fit_the_encoder(tmp_path):
    env = make_vec_env("NDCartPole1D-v0", 8, seed=0)
    dataset = PPMO("MlpPolicy", env, encoder_layers=1, **SMALL).dataset
    with pytest.raises(DatasetError, match=r"`latent.0.weight` is \(64, 4\) instead of \(16, 4\)"):
        DistilledPolicy.from_dataset(dataset, policy="MlpPolicy")
    # Shapes do not tell activations, so they are recorded.
    dataset.save(tmp_path / "set.safetensors")
    for given in (dataset, tmp_path / "set.safetensors"):
        with pytest.raises(DatasetError, match=r"`latent.1` is ReLU instead of Tanh"):
            DistilledPolicy.from_dataset(given, policy_kwargs=dict(net_arch=[16], activation_fn=th.nn.ReLU))
    with pytest.raises(ValueError, match=r"`latent.1` is ReLU instead of Tanh"):
        relu = {**SMALL, "policy_kwargs": {**SMALL["policy_kwargs"], "activation_fn": th.nn.ReLU}}
        PPMO("MlpPolicy", env, initial_dataset=dataset, **relu)
    # Behind the encoder they are free.
    DistilledPolicy.from_dataset(dataset, policy="MlpPolicy", policy_kwargs=dict(net_arch=[16, 30, 30]))
    wrong = {"policy_kwargs": dict(net_arch=[32])}
    with pytest.raises(ValueError, match=r"is \(32, 4\) instead of \(16, 4\)"):
        PPMO("MlpPolicy", env, encoder_layers=1, learner_distribution=wrong, **SMALL)
    with pytest.raises(ValueError, match="that can be drawn start before its end"):
        PPMO("MlpPolicy", env, encoder_layers=1, learner_distribution={"width": [16, 32]}, **SMALL)
    with pytest.raises(ValueError, match="that can be drawn start before its end"):
        evaluate_learners(dataset, 2, 1, learner_distribution={"depth": 1})


def test_layers_are_drawn_behind_an_encoder_of_images():
    model = PPMO(
        "CnnPolicy", ImageEnv(), n_steps=16, encoder_layers=4, seed=0, learner_distribution={"width": [8, 16], "depth": [1, 2]}
    ).learn(16)
    assert model.dataset.encoder_layers == 4
    LearnerDistribution.parse(model.learner_distribution)


def test_gsde_needs_a_last_layer_that_is_taught():
    env = DummyVecEnv([ReachEnv for _ in range(4)])
    PPMO("MlpPolicy", env, use_sde=True, encoder_layers=2, **SMALL).learn(128)
    with pytest.raises(ValueError, match="gSDE needs the inputs of a learner's last layer: leave it out of the encoder"):
        PPMO("MlpPolicy", env, use_sde=True, encoder_layers=3, **SMALL)


def test_a_model_with_an_encoder_is_saved_and_goes_on(tmp_path):
    def run():
        env = make_vec_env("NDCartPole1D-v0", 8, seed=0)
        PPMO("MlpPolicy", env, encoder_layers=2, **SMALL).learn(512).save(tmp_path / "model.zip")
        model = PPMO.load(tmp_path / "model.zip", env)
        assert model.encoder_layers == model.dataset.encoder_layers == 2
        return model.learn(512, reset_num_timesteps=False).dataset.state_dict()

    with pytest.raises(ValueError, match="`encoder_layers` cannot change from 2 to 1 when a model is loaded"):
        run()
        PPMO.load(tmp_path / "model.zip", encoder_layers=1)
    first, second = run(), run()
    assert any(name.startswith("encoder.") for name in first)
    assert all(value.equal(second[name]) for name, value in first.items())


def test_a_damaged_encoder_in_a_file(tmp_path):
    env = make_vec_env("NDCartPole1D-v0", 8, seed=0)
    dataset = PPMO("MlpPolicy", env, encoder_layers=1, **SMALL).dataset
    dataset.info.encoder_layers = 0
    dataset.save(tmp_path / "set.safetensors")
    with pytest.raises(DatasetError, match="speak of 0 encoder layers, the file has 2 tensors"):
        SyntheticDataset.load(tmp_path / "set.safetensors")


def largest_probability(model):
    learners = model.dataset.teach(model.distiller.sampler.sample(4, th.Generator().manual_seed(0)))
    observations = th.as_tensor(np.stack([ImageEnv().reset(seed=seed)[0] for seed in range(4)]))
    return float(model.parts.actor.outputs(learners, observations).outputs.detach().softmax(1).max())


def test_an_encoder_that_was_all_there_was_starts_a_new_dataset():
    kwargs = dict(n_steps=16, batch_size=16, n_epochs=1, inner_loop="ridge", seed=0)
    direct = PPMO("CnnPolicy", ImageEnv(), encoder_layers=5, n_steps=16, batch_size=16, seed=0).learn(16)
    below = PPMO("CnnPolicy", ImageEnv(), encoder_layers=3, encoder_from=direct.dataset, **kwargs)
    assert below.dataset.inner_loop.name == "ridge"  # what the set above had has never taught anything
    assert below.dataset.info.timesteps == direct.dataset.info.timesteps
    held = dict(below.dataset.encoder.named_parameters())
    assert all(value.equal(direct.dataset.encoder.get_parameter(name)) for name, value in held.items())
    steps = PPMO("CnnPolicy", ImageEnv(), encoder_layers=4, encoder_from=direct.dataset, n_steps=16, batch_size=16, seed=0)
    assert largest_probability(steps) < 0.95  # without tempering it is 1


@pytest.mark.parametrize("rate", [None, 20.0])
def test_a_level_below_explores_whatever_the_one_above_is_sure_of(rate):
    kwargs = dict(n_steps=16, batch_size=16, n_epochs=1, seed=0)
    above = PPMO("CnnPolicy", ImageEnv(), encoder_layers=3, **kwargs).dataset
    with th.no_grad():
        above.labels *= 4
        above.learned["log_inner_learning_rates"] += 4
    below = PPMO("CnnPolicy", ImageEnv(), encoder_layers=2, encoder_from=above, inner_learning_rate=rate, **kwargs).learn(16)
    assert (largest_probability(below) < 0.95) == (rate is None)
    assert below.dataset.info.timesteps == (32 if rate is None else 16)  # frames were looked at first


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


class Normed(BaseFeaturesExtractor):
    def __init__(self, observation_space):
        super().__init__(observation_space, 5)
        self.layers = nn.Sequential(nn.Linear(observation_space.shape[0], 5), nn.BatchNorm1d(5), nn.ReLU())

    def forward(self, observations):
        return self.layers(observations)


def test_batch_norm_statistics_go_along():
    env = make_vec_env("NDCartPole1D-v0", 8, seed=0)
    kwargs = {**SMALL, "policy_kwargs": dict(features_extractor_class=Normed, net_arch=[9])}
    above = PPMO("MlpPolicy", env, encoder_layers=2, **kwargs).learn(512)
    for given in (dict(encoder_layers=1, encoder_from=above.dataset), dict(initial_dataset=above.dataset)):
        model = PPMO("MlpPolicy", env, **given, **kwargs)
        for name, value in above.dataset.statistics.items():
            assert value.abs().sum() > 0 and model.dataset.statistics[name].equal(value)
            assert model.parts.policy_actor.network.get_buffer(name) is model.dataset.statistics[name]


def test_untaught_learners_have_the_encoder_too():
    env = make_vec_env("NDCartPole1D-v0", 32, seed=0)
    dataset = PPMO("MlpPolicy", env, encoder_layers=3, seed=0).learn(50_000).dataset
    taught, untaught = (evaluate_learners(dataset, 3, 3, True, teach=teach) for teach in (True, False))
    np.testing.assert_array_equal(taught.returns, untaught.returns)  # there is nothing left to teach
