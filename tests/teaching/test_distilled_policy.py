"""Teaching a fresh policy: it acts, it continues to learn, it can be saved; what does not fit is refused."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import simplex_dataset
from stable_baselines3 import A2C, PPO, TD3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from sb3_distill import PPMO, DatasetError, DistilledPolicy, evaluate_learners
from sb3_distill.dataset.normalization import Normalization


@pytest.mark.parametrize("n_dims, learning_rate, target", [(1, 10.0, 500), (2, 10.0, 499), (3, 30.0, 499), (4, 40.0, 495)])
def test_a_set_made_by_hand_teaches_fresh_learners(n_dims, learning_rate, target):
    dataset = simplex_dataset(n_dims, learning_rate)
    assert evaluate_learners(dataset, 10, 10).mean >= target
    assert evaluate_learners(dataset, 10, 10, deterministic=True).mean >= 499
    assert evaluate_learners(dataset, 10, 10, teach=False).mean < 60


def test_the_policy_plays_as_sb3s():
    policy = DistilledPolicy.from_dataset(simplex_dataset(2, 10.0), seed=0)
    assert isinstance(policy, ActorCriticPolicy)
    assert isinstance(policy, DistilledPolicy)
    mean, std = evaluate_policy(policy, gym.make("NDCartPole2D-v0"), 5, warn=False)
    assert (mean, std) == (500, 0)
    action, _ = policy.predict(np.zeros(8, dtype=np.float32))
    assert action.shape == ()


def test_the_seed_decides_and_leaves_torchs_generator_alone():
    dataset = simplex_dataset(2, 10.0)
    state = th.get_rng_state()
    one, two, three = (DistilledPolicy.from_dataset(dataset, seed=seed) for seed in (1, 1, 2))
    assert th.equal(state, th.get_rng_state())
    weights = [policy.action_net.weight for policy in (one, two, three)]
    assert th.equal(weights[0], weights[1])
    assert not th.equal(weights[0], weights[2])


def test_other_networks_aliases_classes_and_instances():
    dataset = simplex_dataset(2, 10.0)
    wide = DistilledPolicy.from_dataset(dataset, "MlpPolicy", dict(net_arch=[128, 128, 128], activation_fn=nn.ReLU), seed=1)
    assert [m.out_features for m in wide.modules() if isinstance(m, nn.Linear)].count(128) == 6

    class Own(ActorCriticPolicy):
        pass

    assert isinstance(DistilledPolicy.from_dataset(dataset, Own, seed=1), Own)
    instance = Own(dataset.info.observation_space, dataset.info.action_space, lambda _: 0.0)
    before = instance.action_net.weight.clone()
    taught = DistilledPolicy.from_dataset(dataset, instance)
    assert isinstance(taught, Own)
    assert not isinstance(instance, DistilledPolicy)
    assert th.equal(instance.action_net.weight, before)
    assert not th.equal(taught.action_net.weight, before)


@pytest.mark.parametrize("algorithm", [PPO, A2C])
def test_to_algorithm_saves_and_learns_on(tmp_path, algorithm):
    policy = DistilledPolicy.from_dataset(simplex_dataset(2, 10.0), seed=0)
    model = policy.to_algorithm(algorithm, "NDCartPole2D-v0", n_steps=64, seed=0)
    model.save(tmp_path / "agent.zip")
    loaded = algorithm.load(tmp_path / "agent.zip")
    assert evaluate_policy(loaded, gym.make("NDCartPole2D-v0"), 3, warn=False)[0] == 500
    before = model.policy.action_net.weight.clone()
    model.learn(128)
    assert not th.equal(before, model.policy.action_net.weight)


def test_predict_normalises_and_to_algorithm_brings_vecnormalize(tmp_path):
    plain, dataset = simplex_dataset(2, 10.0), simplex_dataset(2, 10.0)
    mean, var = np.full(8, 0.3), np.full(8, 4.0)
    dataset.info.normalization = Normalization(mean, var)
    dataset.save(tmp_path / "set.safetensors")
    normalising = DistilledPolicy.from_dataset(tmp_path / "set.safetensors", seed=0)
    reference = DistilledPolicy.from_dataset(plain, seed=0)
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 1, (50, 8)).astype(np.float32)
    inside = ((raw - mean) / np.sqrt(var + 1e-8)).astype(np.float32)
    np.testing.assert_array_equal(
        normalising.predict(raw, deterministic=True)[0], reference.predict(inside, deterministic=True)[0]
    )
    model = normalising.to_algorithm(PPO, make_vec_env("NDCartPole2D-v0", 2), n_steps=8, batch_size=16)
    venv = model.get_env()
    assert isinstance(venv, VecNormalize)
    np.testing.assert_allclose(venv.normalize_obs(raw), inside, atol=1e-6)


def test_an_encoder_of_all_layers_teaches_policies_that_squash():
    kwargs = dict(encoder_layers=3, n_steps=32, batch_size=64, n_epochs=1, seed=0)
    dataset = PPMO("MlpPolicy", make_vec_env("Pendulum-v1", 2, seed=0), **kwargs).learn(128).dataset
    states = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    plain = DistilledPolicy.from_dataset(dataset).predict(states, deterministic=True)[0]
    same = dict(activation_fn=nn.Tanh, net_arch=[64, 64])
    squashing = DistilledPolicy.from_dataset(dataset, TD3.policy_aliases["MlpPolicy"], same)
    np.testing.assert_allclose(squashing.predict(states, deterministic=True)[0], plain, atol=2e-3)  # small actions


def test_normalised_sets_want_normalised_observations():
    dataset = simplex_dataset(2, 10.0)
    dataset.info.normalization = Normalization(np.zeros(8), np.ones(8))
    env = VecNormalize(make_vec_env("NDCartPole2D-v0", 2), norm_obs=False)
    for use in (
        lambda: DistilledPolicy.from_dataset(dataset).to_algorithm(PPO, env),
        lambda: PPMO("MlpPolicy", env, initial_dataset=dataset),
    ):
        with pytest.raises(ValueError, match="made with normalised observations: leave out norm_obs=False"):
            use()


def test_continuous_actions_take_the_learned_deviation():
    from sb3_distill import SyntheticDataset
    from sb3_distill.dataset.info import DatasetInfo
    from sb3_distill.inner_loop.gradient_steps import GradientSteps

    info = DatasetInfo(spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (2,)), policy="MlpPolicy")
    dataset = SyntheticDataset(th.randn(4, 3), th.randn(4, 2), GradientSteps(), info, log_std=th.tensor([-1.0, 0.5]))
    policy = DistilledPolicy.from_dataset(dataset, seed=0)
    assert policy.log_std.tolist() == [-1.0, 0.5]
    under_sde = DistilledPolicy.from_dataset(dataset, policy_kwargs=dict(use_sde=True), policy="MlpPolicy", seed=0)
    assert th.equal(under_sde.log_std, dataset.log_std.expand(64, 2))


def test_what_does_not_fit_is_refused():
    dataset = simplex_dataset(2, 10.0)
    with pytest.raises(ValueError, match="unknown `policy` 'Nonsense'.*MlpPolicy"):
        DistilledPolicy.from_dataset(dataset, "Nonsense")
    other = ActorCriticPolicy(spaces.Box(-1, 1, (3,)), spaces.Discrete(4), lambda _: 0.0)
    with pytest.raises(DatasetError, match=r"observation space Box\(8,\), the policy has Box\(3,\)"):
        DistilledPolicy.from_dataset(dataset, other)
    other = ActorCriticPolicy(dataset.info.observation_space, spaces.Discrete(5), lambda _: 0.0)
    with pytest.raises(DatasetError, match=r"action space Discrete\(4\), the policy has Discrete\(5\)"):
        DistilledPolicy.from_dataset(dataset, other)
    with pytest.raises(ValueError, match="policy_kwargs"):
        DistilledPolicy.from_dataset(dataset, other, policy_kwargs={})
    policy = DistilledPolicy.from_dataset(dataset)
    with pytest.raises(ValueError, match=r"shape \(4,\), the dataset was made for Box\(8,\)"):
        policy.predict(np.zeros(4))
    with pytest.raises(DatasetError, match="environment has"):
        policy.to_algorithm(PPO, "CartPole-v1")


def test_recurrent_policies_are_refused():
    from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy

    dataset = simplex_dataset(1, 10.0)
    with pytest.raises(TypeError, match="recurrent"):
        DistilledPolicy.from_dataset(dataset, RecurrentActorCriticPolicy)


def test_normalisation_can_be_folded_into_a_plain_zip(tmp_path, monkeypatch, capsys):
    from sb3_distill.cli import program as cli

    monkeypatch.chdir(tmp_path)
    dataset = simplex_dataset(2, 10.0)
    dataset.info.normalization = Normalization(np.full(8, 0.01), np.linspace(0.5, 2.0, 8))
    dataset.save("set.safetensors")
    assert cli.main(["teach", "set.safetensors", "-o", "agent.zip", "--seed", "0"]) == 0
    assert "clipping is lost" in capsys.readouterr().out
    policy, agent = DistilledPolicy.from_dataset("set.safetensors", seed=0), PPO.load("agent.zip")
    raw = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    agree = agent.predict(raw, deterministic=True)[0] == policy.predict(raw, deterministic=True)[0]
    assert agree.all()


def test_algorithms_with_another_kind_of_policy_are_refused():
    from stable_baselines3 import DQN

    with pytest.raises(ValueError, match="DQN does not use a ActorCriticPolicy: teach one of its own"):
        DistilledPolicy.from_dataset(simplex_dataset(1, 10.0)).to_algorithm(DQN, "CartPole-v1")
    with pytest.raises(ValueError, match="`policy` must be an alias"):
        DistilledPolicy.from_dataset(simplex_dataset(1, 10.0), policy=3)


class WithAName(DistilledPolicy):
    """A user's own kind of taught policy."""

    def name(self):
        return "mine"


def test_a_subclass_stays_what_it_is():
    policy = WithAName.from_dataset("NDCartPole2D-v0", seed=0)
    for again in (copy.deepcopy(policy), pickle.loads(pickle.dumps(policy))):
        assert isinstance(again, WithAName)
        assert again.name() == "mine"
        seen = np.zeros(8, np.float32)
        assert again.predict(seen, deterministic=True)[0] == policy.predict(seen, deterministic=True)[0]


def test_the_class_of_a_taught_policy_stands_for_the_one_that_it_was():
    policy = DistilledPolicy.from_dataset("NDCartPole2D-v0", seed=0)
    env = make_vec_env("NDCartPole2D-v0", 2)
    for kind in (type(policy), policy):
        again = DistilledPolicy.from_dataset("NDCartPole2D-v0", policy=kind, seed=1)
        assert again.origin[0] is ActorCriticPolicy
        assert again.predict(np.zeros(8, np.float32))[0].shape == ()
    for algorithm in (PPO, PPMO):
        assert type(algorithm(type(policy), env, n_steps=8, batch_size=16, device="cpu").policy) is ActorCriticPolicy
    with pytest.raises(ValueError, match="must be a class of SB3 that a DistilledPolicy can be made of"):
        DistilledPolicy.from_dataset("NDCartPole2D-v0", policy=DistilledPolicy)
