"""What leaves a model and comes back elsewhere: files, pickles, other algorithms, other environments."""

import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TransformReward
from helpers import simplex_dataset
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC
from stable_baselines3.common.env_util import make_vec_env as sb3_make_vec_env
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import SubprocVecEnv, VecNormalize

from sb3_distill import PPMO, DistilledPolicy, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.cli import program as cli
from sb3_distill.teaching.teach import teach

QUICK = dict(n_steps=8, n_instances=4, n_epochs=1, batch_size=16, seed=0, normalize=False)


def pendulum(n=4, **kwargs):
    return sb3_make_vec_env("Pendulum-v1", n, env_kwargs=kwargs)


def distil(env, policy="MlpPolicy", **kwargs):
    return PPMO(policy, env, **{**QUICK, **kwargs}).learn(64)


OBSERVATIONS = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", ["gSDE", "instance", "gSDE instance"])
def test_to_algorithm_of_gsde_sets_and_instances(kind):
    dataset = distil(pendulum(), use_sde="gSDE" in kind).dataset
    instance = PPO("MlpPolicy", "Pendulum-v1", use_sde="gSDE" in kind).policy if "instance" in kind else None
    policy = DistilledPolicy.from_dataset(dataset, instance, seed=0)
    model = policy.to_algorithm(PPO, "Pendulum-v1")
    assert model.use_sde == ("gSDE" in kind)
    expected = policy.predict(OBSERVATIONS, deterministic=True)[0]
    np.testing.assert_array_equal(model.predict(OBSERVATIONS, deterministic=True)[0], expected)


@pytest.mark.parametrize("algorithm", [DDPG, SAC])
def test_to_algorithm_with_another_number_of_critics(algorithm):
    dataset = distil(pendulum()).dataset
    policy = DistilledPolicy.from_dataset(dataset, algorithm.policy_aliases["MlpPolicy"], seed=0)
    model = policy.to_algorithm(algorithm, "Pendulum-v1", buffer_size=100)
    expected = policy.predict(OBSERVATIONS, deterministic=True)[0]
    np.testing.assert_array_equal(model.predict(OBSERVATIONS, deterministic=True)[0], expected)


def test_to_algorithm_keeps_what_the_policy_was_made_with():
    policy = DistilledPolicy.from_dataset(simplex_dataset(1, 10.0))
    policy.to_algorithm(A2C, "CartPole-v1")  # writes its own optimizer into its arguments
    assert isinstance(policy.to_algorithm(PPO, "CartPole-v1").policy.optimizer, th.optim.Adam)
    normalized = DistilledPolicy.from_dataset(distil(VecNormalize(pendulum())).dataset)
    env = VecNormalize(pendulum())
    assert normalized.to_algorithm(PPO, env).get_env() is env
    np.testing.assert_array_equal(env.obs_rms.mean, normalized.dataset.info.normalization.mean)
    assert normalized.to_algorithm(PPO, "Pendulum-v1").get_vec_normalize_env() is not None


def test_a_set_made_with_squashed_actions_is_taught_as_it_was_learned():
    model = distil(pendulum(), use_sde=True, policy_kwargs=dict(squash_output=True), learning_rate=0.1)
    fresh = ActorCriticPolicy(
        model.observation_space, model.action_space, lambda _: 0.0, use_sde=True, squash_output=True, log_std_init=-2.0
    )
    from sb3_distill.networks.anatomy import actor_of

    actor_of(fresh).load_state_dict(model.initial_actor.state_dict())
    teach(fresh, model.dataset)
    expected = model.predict(OBSERVATIONS, deterministic=True)[0]
    np.testing.assert_allclose(fresh.predict(OBSERVATIONS, deterministic=True)[0], expected, atol=1e-5)


def test_a_normalised_run_goes_on_with_its_statistics_or_not_at_all(tmp_path):
    model = distil(VecNormalize(pendulum()))
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="put the environment into a VecNormalize"):
        PPMO.load(tmp_path / "model", env=pendulum())
    env = VecNormalize(pendulum())
    PPMO.load(tmp_path / "model", env=env)
    np.testing.assert_array_equal(env.obs_rms.mean, model.dataset.info.normalization.mean)


def test_the_file_says_which_task_it_was(tmp_path):
    limited = distil(gym.make("Pendulum-v1", max_episode_steps=20, g=9.0))
    assert limited.dataset.info.env_kwargs == {"g": 9.0, "max_episode_steps": 20}
    env = make_vec_env(limited.dataset, 1)
    env.reset()
    assert [env.step(np.zeros((1, 1)))[2][0] for _ in range(20)] == [False] * 19 + [True]
    lake = distil(sb3_make_vec_env("FrozenLake-v1", 4, env_kwargs=dict(desc=["SF", "FG"])))
    assert make_vec_env(lake.dataset, 1).observation_space.n == 4
    limited.save(tmp_path / "model")
    assert PPMO.load(tmp_path / "model", env=pendulum(g=5.0)).dataset.info.env_kwargs == {"g": 5.0}


def test_every_learner_of_an_evaluation_is_drawn_for_itself():
    shapes = []

    def inspect(learners):
        shapes.extend(actor.template.head.in_features for actor, _ in learners.groups)
        return learners

    evaluate_learners("NDCartPole1D-v0", 30, 1, learner_distribution="random-h", teach=inspect)
    assert len(set(shapes)) > 15


def test_environments_by_path_and_by_module(tmp_path):
    path = tmp_path / "set.safetensors"
    SyntheticDataset.load("NDCartPole1D-v0").save(path)
    for given in (path, str(path)):
        assert make_vec_env(given, 2).observation_space.shape == (4,)
    assert make_vec_env("nd_cartpole:NDCartPole-v0", 4, env_kwargs=dict(n_dims=3)).observation_space.shape == (12,)


def test_infos_of_gymnasium_vector_envs_arrive():
    class Succeeds(gym.Wrapper):
        def step(self, action):
            observation, reward, terminated, truncated, info = self.env.step(action)
            return observation, reward, terminated, truncated, {**info, "is_success": terminated}

    env = SyncVectorEnv([lambda: Succeeds(gym.make("CartPole-v1"))] * 4, autoreset_mode=AutoresetMode.SAME_STEP)
    model = PPMO("MlpPolicy", env, **{**QUICK, "n_steps": 64}).learn(256)
    assert model.ep_success_buffer
    assert all(model.ep_success_buffer)


def test_a_taught_policy_does_not_change_with_the_model():
    model = distil(VecNormalize(pendulum()))
    policy = DistilledPolicy.from_dataset(model.dataset, seed=0)
    before = policy.predict(OBSERVATIONS, deterministic=True)[0]
    model.learn(64, reset_num_timesteps=False)
    np.testing.assert_array_equal(policy.predict(OBSERVATIONS, deterministic=True)[0], before)


def test_environments_in_other_processes_whose_spec_cannot_be_pickled():
    def make():
        return TransformReward(gym.make("CartPole-v1"), lambda reward: 2 * reward)

    model = PPMO("MlpPolicy", SubprocVecEnv([make] * 2, start_method="fork"), **{**QUICK, "batch_size": 8})
    assert model.dataset.info.env_id == "CartPole-v1"
    assert model.dataset.info.wrappers == [
        {"name": "TransformReward", "entry_point": "gymnasium.wrappers.transform_reward:TransformReward", "kwargs": None}
    ]
    model.env.close()


def test_a_loaded_dataset_keeps_its_size_and_its_inner_loop(tmp_path):
    distil("CartPole-v1").save(tmp_path / "model")
    for change, message in (
        ({"n_instances": 9}, "`n_instances` cannot change from 4 to 9"),
        ({"n_inner_steps": 3}, "inner loop"),
    ):
        with pytest.raises(ValueError, match=message):
            PPMO.load(tmp_path / "model", **change)


def test_the_policy_of_a_model_can_be_pickled():
    policy = distil(pendulum()).policy
    copy = pickle.loads(pickle.dumps(policy))
    np.testing.assert_array_equal(*(p.predict(OBSERVATIONS, deterministic=True)[0] for p in (policy, copy)))


def test_teach_needs_no_environment(tmp_path, capsys):
    dataset = simplex_dataset(1, 10.0)
    dataset.info.env_id = None
    dataset.save(tmp_path / "set.safetensors")
    assert cli.main(["teach", str(tmp_path / "set.safetensors"), "--algo", "dqn", "-o", str(tmp_path / "agent.zip")]) == 0
    assert DQN.load(tmp_path / "agent.zip").observation_space.shape == (4,)


def test_a_model_of_another_environment_says_so(tmp_path):
    PPMO("MlpPolicy", make_vec_env("CartPole-v1", 2), **QUICK).save(tmp_path / "model.zip")
    with pytest.raises(ValueError, match=r"model.zip was saved with another environment .*load it with its own"):
        PPMO.load(tmp_path / "model.zip", make_vec_env("Pendulum-v1", 2))
