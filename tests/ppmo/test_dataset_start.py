"""Where a run's dataset starts: drawn, from visited states, or from another dataset."""

import numpy as np
import pytest
import torch as th
from helpers import SMALL, FaultyEnv, simplex_dataset, small_env
from stable_baselines3.common.envs import SimpleMultiObsEnv
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_distill import PPMO, DatasetError, make_vec_env


def test_a_run_can_start_from_a_dataset(tmp_path):
    dataset = simplex_dataset(2, 10.0)
    dataset.save(tmp_path / "set.safetensors")
    for given in (dataset, tmp_path / "set.safetensors"):
        model = PPMO("MlpPolicy", small_env(), initial_dataset=given, seed=0)
        assert evaluate_policy(model, small_env(2), 4)[0] == 500
        assert th.equal(model.dataset.labels, dataset.labels)
        assert model.dataset.labels is not dataset.labels
    with pytest.raises(DatasetError, match="observation space"):
        PPMO("MlpPolicy", "CartPole-v1", initial_dataset=dataset)


def test_a_dataset_can_start_from_visited_states(tmp_path):
    env = VecNormalize(small_env(4))
    visited = []
    step = env.step_wait
    env.step_wait = lambda: (lambda result: (visited.append(result[0]), result)[1])(step())
    model = PPMO("MlpPolicy", env, n_instances=5, dataset_init="observations", **{**SMALL, "learning_rate": 0.0})
    model.learn(128)
    assert model.dataset.info.timesteps == 2 * 128  # a rollout of random actions, and one of learners
    states = np.concatenate(visited[:32])
    found = [np.isclose(states, row, atol=1e-6).all(axis=1).any() for row in model.dataset.observations.detach().numpy()]
    assert all(found)
    model.save(tmp_path / "model.zip")
    again = PPMO.load(tmp_path / "model.zip", VecNormalize(small_env(4))).learn(128, reset_num_timesteps=False)
    assert again.dataset.info.timesteps == 3 * 128
    # It is the paper's way that is the default, and what comes with a dataset stays.
    assert model.get_parameters()["dataset"]["observations"].shape == (5, 8)
    given = simplex_dataset(2, 10.0)
    with pytest.warns(UserWarning, match="`dataset_init` is not used"):
        go_on = PPMO("MlpPolicy", small_env(4), initial_dataset=given, dataset_init="observations", **SMALL)
    before = go_on.dataset.observations.clone()
    go_on._setup_learn(128, None)
    assert th.equal(go_on.dataset.observations, before)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_visited_states_must_be_finite(normalized):
    env = DummyVecEnv([lambda: FaultyEnv(5, "observation")])
    model = PPMO("MlpPolicy", VecNormalize(env) if normalized else env, dataset_init="observations", n_steps=16)
    with pytest.raises(FloatingPointError, match="observation is NaN or infinite at step 5 of environment 0"):
        model.learn(16)
    assert model.dataset.is_finite()


def test_visited_states_of_several_kinds():

    for policy, env in (("MlpPolicy", "FrozenLake-v1"), ("MultiInputPolicy", SimpleMultiObsEnv())):
        model = PPMO(policy, env, dataset_init="observations", n_steps=16, batch_size=16, learning_rate=0.0, weight_decay=0.0)
        model.learn(16)
        if policy == "MlpPolicy":
            assert (model.dataset.observations.sum(dim=1) == 1).all()  # one-hot
        else:
            assert model.dataset.observations["img"].max() > 0


def test_an_initial_dataset_brings_its_normalisation_and_sheds_its_scores():
    env = VecNormalize(make_vec_env("NDCartPole1D-v0", 4))
    first = PPMO("MlpPolicy", env, n_steps=8, seed=0).learn(64).dataset
    first.info.scores = {"sampled": {"mean": 500.0, "std": 0.0}}
    fresh = VecNormalize(make_vec_env("NDCartPole1D-v0", 4))
    model = PPMO("MlpPolicy", fresh, n_steps=8, seed=5, initial_dataset=first)
    assert (fresh.obs_rms.mean == first.info.normalization.mean).all()
    model.learn(32)
    assert (model.dataset.info.seed, model.dataset.info.timesteps, model.dataset.info.scores) == (5, 96, {})
    with pytest.raises(ValueError, match="put the environment into a VecNormalize"):
        PPMO("MlpPolicy", make_vec_env("NDCartPole1D-v0", 4), initial_dataset=first, normalize=False)
    inside = PPMO("MlpPolicy", make_vec_env("NDCartPole1D-v0", 4), initial_dataset=first)
    assert inside.normalize is True
    assert (inside.dataset.info.normalization.mean == first.info.normalization.mean).all()


def test_an_initial_dataset_brings_the_scale_of_rewards(tmp_path):
    def environment(**kwargs):
        return VecNormalize(make_vec_env("Pendulum-v1", 4, seed=0), **kwargs)

    env = environment()
    PPMO("MlpPolicy", env, n_steps=64, seed=0).learn(256).dataset.save(tmp_path / "set.safetensors")
    again = environment()
    PPMO("MlpPolicy", again, n_steps=64, initial_dataset=tmp_path / "set.safetensors")
    assert env.ret_rms.var > 2
    assert again.ret_rms.var == pytest.approx(env.ret_rms.var)
    # Statistics of one's own stay.
    PPMO("MlpPolicy", env, n_steps=64, initial_dataset=tmp_path / "set.safetensors")
    assert env.ret_rms.count < 1_000
    unscaled = environment(norm_reward=False)
    assert PPMO("MlpPolicy", unscaled, n_steps=64, seed=0).learn(256).dataset.info.return_variance is None
