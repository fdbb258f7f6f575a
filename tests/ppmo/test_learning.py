"""PPMO as a user meets it: tasks are learned, and the dataset says where it comes from."""

import gymnasium as gym
import pytest
from contract import ROLLOUT, make
from helpers import SMALL, ReachEnv, improved, small_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

import nd_cartpole
from sb3_distill import PPMO, SyntheticDataset, evaluate_learners, make_vec_env


def test_importing_registers_the_environments():
    assert nd_cartpole
    assert "NDCartPole5D-v0" in gym.registry


@pytest.mark.slow
@pytest.mark.parametrize("env_id", ["NDCartPole1D-v0", "NDCartPole2D-v0"])
def test_discrete_tasks_are_learned(env_id):
    model = PPMO("MlpPolicy", small_env(64, env_id), seed=0)
    before = evaluate_learners(model.dataset, 20, 5)
    model.learn(200_000)
    after = evaluate_learners(model.dataset, 20, 5)
    assert improved(before, after)
    assert after.mean > 3 * before.mean
    # `policy` is one fixed draw, taught: it plays as the learners do.
    assert evaluate_policy(model, small_env(5, env_id), 10)[0] > 2 * before.mean


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sgd", "ridge"])
def test_continuous_tasks_are_learned(kind):
    def make(n_envs):
        return DummyVecEnv([ReachEnv for _ in range(n_envs)])

    model = PPMO("MlpPolicy", make(16), n_instances=16, n_steps=64, inner_loop=kind, seed=0)
    before = evaluate_learners(model.dataset, 10, 5, deterministic=True, env=make)
    model.learn(30_000)
    after = evaluate_learners(model.dataset, 10, 5, deterministic=True, env=make)
    assert improved(before, after)
    assert after.mean > 0.3 * before.mean  # costs
    assert (model.dataset.log_std >= -3).all()
    assert (model.dataset.log_std < 0).all()


def test_several_inner_steps(tmp_path):
    model = PPMO("MlpPolicy", small_env(), n_inner_steps=3, inner_learning_rate=0.3, **SMALL).learn(512)
    assert model.dataset.log_inner_learning_rates.shape == (3, 1)
    model.dataset.save(tmp_path / "set.safetensors")
    assert SyntheticDataset.load(tmp_path / "set.safetensors").inner_loop.n_steps == 3


def test_target_kl_stops_early(capsys):
    PPMO("MlpPolicy", small_env(), learning_rate=1.0, target_kl=1e-6, verbose=1, **SMALL).learn(512)
    assert "Early stopping" in capsys.readouterr().out


def test_target_kl_ends_the_epochs():
    strict, none = (make(n_epochs=6, target_kl=target).learn(ROLLOUT) for target in (1e-9, None))
    assert strict._n_updates == 1
    assert none._n_updates == 6
    assert make(n_epochs=6, learning_rate=0.0, target_kl=1e-3).learn(ROLLOUT)._n_updates == 6  # nothing moves


def test_the_dataset_says_where_it_comes_from(tmp_path):
    model = PPMO("MlpPolicy", make_vec_env("NDCartPole-v0", 8, env_kwargs=dict(n_dims=3)), **SMALL).learn(256)
    model.dataset.save(tmp_path / "set.safetensors")
    info = SyntheticDataset.load(tmp_path / "set.safetensors").info
    assert (info.env_id, info.env_kwargs, info.policy, info.seed, info.timesteps) == (
        "NDCartPole-v0",
        {"n_dims": 3},
        "MlpPolicy",
        0,
        256,
    )
    assert info.policy_kwargs == {"net_arch": [16]}
    assert info.versions["stable-baselines3"]
    assert evaluate_learners(tmp_path / "set.safetensors", 2, 2).returns.shape == (2, 2)
