"""The table "Can I teach it?": every SB3 policy network, and what is refused."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import simplex_dataset
from sb3_contrib import QRDQN, TQC, TRPO, CrossQ, MaskablePPO
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.envs import FakeImageEnv, SimpleMultiObsEnv
from stable_baselines3.common.evaluation import evaluate_policy

from sb3_distill import DatasetError, DistilledPolicy, SyntheticDataset, make_vec_env
from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.inner_loop.gradient_steps import GradientSteps

BOX = spaces.Box(np.array([-2.0, 0.0], dtype=np.float32), np.array([2.0, 1.0], dtype=np.float32))


def dataset_for(observation_space, action_space, policy, shape, log_std=None):
    info = DatasetInfo(observation_space, action_space, policy=policy)
    width = action_space.n if isinstance(action_space, spaces.Discrete) else action_space.shape[0]
    observations = {key: th.rand(4, *size) for key, size in shape.items()} if isinstance(shape, dict) else th.rand(4, *shape)
    return SyntheticDataset(observations, th.randn(4, width), GradientSteps(learning_rate=0.5), info, log_std=log_std)


def outputs(policy, dataset):
    from sb3_distill.networks.anatomy import actor_of

    with th.no_grad():
        return actor_of(policy)(dataset.encode())


@pytest.mark.parametrize("algorithm", [PPO, A2C, TRPO, MaskablePPO, DQN], ids=lambda algorithm: algorithm.__name__)
def test_discrete_actions(algorithm):
    dataset = simplex_dataset(1, 0.5)
    policy = DistilledPolicy.from_dataset(dataset, algorithm.policy_aliases["MlpPolicy"], seed=0)
    untaught = algorithm.policy_aliases["MlpPolicy"](dataset.info.observation_space, dataset.info.action_space, lambda _: 0.0)
    error = (outputs(policy, dataset) - dataset.labels).square().mean()
    assert error < (outputs(untaught, dataset) - dataset.labels).square().mean()
    action, _ = policy.predict(np.zeros((3, 4), dtype=np.float32), deterministic=True)
    greedy = outputs(policy, dataset).argmax(dim=1)
    raw = dataset.observations.detach().numpy()
    assert action.shape == (3,)
    assert (policy.predict(raw, deterministic=True)[0] == greedy.numpy()).all()


@pytest.mark.parametrize("algorithm", [PPO, SAC, TD3, DDPG, TQC, CrossQ], ids=lambda algorithm: algorithm.__name__)
def test_continuous_actions(algorithm):
    dataset = dataset_for(spaces.Box(-1, 1, (3,)), BOX, "MlpPolicy", (3,), log_std=th.tensor([-1.0, -2.0]))
    policy = DistilledPolicy.from_dataset(dataset, algorithm.policy_aliases["MlpPolicy"], seed=0)
    action, _ = policy.predict(dataset.observations.detach().numpy(), deterministic=True)
    expected = outputs(policy, dataset)
    if algorithm is not PPO:
        expected = th.tanh(expected) * th.tensor([2.0, 0.5]) + th.tensor([0.0, 0.5])
    np.testing.assert_allclose(action, expected.clamp(th.as_tensor(BOX.low), th.as_tensor(BOX.high)), atol=1e-5)
    if algorithm in (TD3, DDPG):
        for own, target in zip(policy.actor.parameters(), policy.actor_target.parameters(), strict=True):
            assert th.equal(own, target)
    if algorithm is SAC:
        # Deviations too are in units of half the width of the action space.
        assert th.allclose(policy.actor.log_std.bias.exp() * th.tensor([2.0, 0.5]), dataset.log_std.exp())


@pytest.mark.parametrize("algorithm", [PPO, A2C, DQN], ids=lambda algorithm: algorithm.__name__)
def test_images_and_dicts(algorithm):
    env = FakeImageEnv(screen_height=40, screen_width=40, n_channels=1, discrete=True)
    image = spaces.Box(0, 255, (1, 40, 40), np.uint8)
    policy = DistilledPolicy.from_dataset(
        dataset_for(image, env.action_space, "CnnPolicy", (1, 40, 40)), algorithm.policy_aliases["CnnPolicy"], seed=0
    )
    assert env.action_space.contains(int(policy.predict(env.reset()[0])[0]))  # channels last, as the environment has them

    env = SimpleMultiObsEnv(random_start=False)
    shape = {key: space.shape for key, space in env.observation_space.spaces.items() if key != "img"}
    space = spaces.Dict({key: env.observation_space[key] for key in shape})
    dataset = dataset_for(space, env.action_space, "MultiInputPolicy", shape)
    policy = DistilledPolicy.from_dataset(dataset, algorithm.policy_aliases["MultiInputPolicy"], seed=0)
    observation = {key: value for key, value in env.reset()[0].items() if key in shape}
    assert env.action_space.contains(int(policy.predict(observation)[0]))


@pytest.mark.parametrize("algorithm", [DQN, A2C], ids=lambda algorithm: algorithm.__name__)
def test_to_algorithm_of_its_own_kind(algorithm, tmp_path):
    policy = DistilledPolicy.from_dataset(simplex_dataset(1, 10.0), algorithm.policy_aliases["MlpPolicy"], seed=0)
    model = policy.to_algorithm(algorithm, "CartPole-v1")
    model.save(tmp_path / "agent.zip")
    observation = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32) / 10
    expected = policy.predict(observation, deterministic=True)[0]
    loaded = algorithm.load(tmp_path / "agent.zip")
    np.testing.assert_array_equal(loaded.predict(observation, deterministic=True)[0], expected)


def test_what_does_not_fit_is_refused_with_the_reason():
    with pytest.raises(TypeError, match="distribution of returns per action"):
        DistilledPolicy.from_dataset(simplex_dataset(1, 10.0), QRDQN.policy_aliases["MlpPolicy"])
    with pytest.raises((DatasetError, TypeError, AssertionError, AttributeError)):
        DistilledPolicy.from_dataset(simplex_dataset(1, 10.0), SAC.policy_aliases["MlpPolicy"])


def plays(dataset, algorithm, env_id, n_networks=5, n_episodes=4, **kwargs):
    """Mean greedy return of fresh networks of an algorithm, taught, for one network after the other."""
    env = make_vec_env(env_id, n_episodes, seed=0)
    policies = (
        DistilledPolicy.from_dataset(dataset, algorithm.policy_aliases["MlpPolicy"], seed=seed, **kwargs)
        for seed in range(n_networks)
    )
    return [evaluate_policy(policy, env, n_episodes, warn=False)[0] for policy in policies]


@pytest.mark.parametrize("algorithm", [PPO, A2C, TRPO, MaskablePPO, DQN], ids=lambda algorithm: algorithm.__name__)
def test_networks_for_discrete_actions_play_what_the_wide_set_teaches(algorithm):
    assert np.mean(plays("NDCartPole2D-v0/wide", algorithm, "NDCartPole2D-v0")) > 490


@pytest.mark.parametrize("algorithm", [PPO, SAC, TD3, DDPG, TQC, CrossQ], ids=lambda algorithm: algorithm.__name__)
def test_networks_for_continuous_actions_play_what_the_ridge_set_teaches(algorithm):
    # Random play has about -1200. PPO's alias has tanh layers, which no set for this task is made for.
    policy_kwargs = {"policy_kwargs": {"activation_fn": th.nn.ReLU}} if algorithm is PPO else {}
    name = "Pendulum-v1" if algorithm is PPO else "Pendulum-v1/off-policy"
    assert np.median(plays(name, algorithm, "Pendulum-v1", **policy_kwargs)) > -450


def test_a_policy_without_a_step_size_is_refused_in_a_sentence():
    ars = pytest.importorskip("sb3_contrib").ARS
    with pytest.raises(TypeError, match="ARSPolicy is not a policy that can be taught"):
        DistilledPolicy.from_dataset("NDCartPole2D-v0", policy=ars.policy_aliases["MlpPolicy"], seed=0)
