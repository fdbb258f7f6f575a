"""The first layers of all learners, shared, are trained with the dataset; with all layers it is PPO."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from helpers import ImageEnv, ReachEnv
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure
from stable_baselines3.common.policies import ActorCriticCnnPolicy
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_distill import PPMO, DistilledPolicy, LearnerDistribution, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.networks.anatomy import actor_of

SMALL = dict(n_steps=32, batch_size=128, n_epochs=2, policy_kwargs=dict(net_arch=[16, 12]), seed=0)


@pytest.mark.slow
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


def policy_of_set(dataset):
    return ActorCriticCnnPolicy(dataset.info.observation_space, dataset.info.action_space, lambda _: 0.0)


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


# With four layers, features grow meanwhile: without relative rates the policy saturates, and is lost.
@pytest.mark.slow
@pytest.mark.parametrize("n_layers, dtype, n_steps", [(0, None, 1_500), (3, "bfloat16", 1_500), (4, None, 4_000)])
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
    assert outputs[1].dtype == th.float32
    assert not outputs[0].equal(outputs[1])
    th.testing.assert_close(outputs[0], outputs[1], atol=0.02, rtol=0.02)
    with pytest.raises(ValueError, match="`autocast_dtype` must be None or one of bfloat16, got 'float16'"):
        PPMO("MlpPolicy", "CartPole-v1", autocast_dtype="float16")


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
    ours = PPMO(policy, env, encoder_layers=levels, n_learners=1, normalize=False, **given, **rates, policy_kwargs=kwargs)
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


def test_gsde_needs_a_last_layer_that_is_taught():
    env = DummyVecEnv([ReachEnv for _ in range(4)])
    PPMO("MlpPolicy", env, use_sde=True, encoder_layers=2, **SMALL).learn(128)
    with pytest.raises(ValueError, match="gSDE needs the inputs of a learner's last layer: leave it out of the encoder"):
        PPMO("MlpPolicy", env, use_sde=True, encoder_layers=3, **SMALL)


def test_layers_are_drawn_behind_an_encoder_of_images():
    model = PPMO(
        "CnnPolicy", ImageEnv(), n_steps=16, encoder_layers=4, seed=0, learner_distribution={"width": [8, 16], "depth": [1, 2]}
    ).learn(16)
    assert model.dataset.encoder_layers == 4
    LearnerDistribution.parse(model.learner_distribution)


def test_untaught_learners_have_the_encoder_too():
    env = make_vec_env("NDCartPole1D-v0", 32, seed=0)
    dataset = PPMO("MlpPolicy", env, encoder_layers=3, seed=0).learn(50_000).dataset
    taught, untaught = (evaluate_learners(dataset, 3, 3, True, teach=teach) for teach in (True, False))
    np.testing.assert_array_equal(taught.returns, untaught.returns)  # there is nothing left to teach
