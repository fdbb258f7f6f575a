"""NumPy's numbers are numbers in every argument, and plain numbers in files."""

import json

import numpy as np
import pytest

from sb3_distill import PPMO, SyntheticDataset, evaluate_learners, make_vec_env

LIVE = dict(
    n_steps=np.int64(8), n_epochs=np.uint8(1), batch_size=np.int32(8), gamma=np.float32(0.9), gae_lambda=np.float64(0.9),
    ent_coef=np.float32(0.1), vf_coef=np.float16(0.5), max_grad_norm=np.int64(1), clip_range=np.float32(0.2),
    clip_range_vf=np.float32(0.3), target_kl=np.float32(1), learning_rate=np.float32(0.01), weight_decay=np.float32(0.1),
    labels_learning_rate=np.float32(0.1), critic_learning_rate=np.float64(0.01), normalize_advantage=np.bool_(True),
    seed=np.uint32(3), verbose=np.int64(0), stats_window_size=np.int64(10),
)  # fmt: skip
SETTINGS = dict(
    n_instances=np.int64(3), n_learners=np.int64(2), n_inner_steps=np.int64(2), encoder_layers=np.int64(1),
    inner_learning_rate=np.array([0.5, 0.25], np.float32), inner_rate_per_role=np.bool_(False),
    inner_rate_relative=np.bool_(False), policy_kwargs={"net_arch": [np.int64(16), *np.array([8])]},
    learner_distribution={"last_gain": np.float32(1), "weight": np.int64(1)},
)  # fmt: skip


def test_arguments_of_the_algorithm(tmp_path):
    model = PPMO("MlpPolicy", make_vec_env("NDCartPole1D-v0", np.int64(4)), **LIVE, **SETTINGS).learn(np.int64(32))
    types = {name: type(getattr(model, name)) for name in LIVE if hasattr(model, name) and "clip" not in name}
    assert {kind.__module__ for kind in types.values()} == {"builtins"}, types
    model.save(tmp_path / "model.zip")
    model.dataset.save(tmp_path / "set.safetensors")
    info = SyntheticDataset.load(tmp_path / "set.safetensors").info
    assert (info.policy, info.policy_kwargs, info.seed) == ("MlpPolicy", {"net_arch": [16, 8]}, 3)
    assert info.learner_distribution == [{"last_gain": 1.0}]
    json.dumps(model.dataset.info.to_json())
    assert PPMO.load(tmp_path / "model.zip").n_instances == 3


def test_ranges_of_learners_may_be_arrays():
    mixture = {"width": np.array([16, 32]), "depth": [np.int64(1), np.int64(2)], "layer_norm": np.float32(0.5)}
    model = PPMO("MlpPolicy", make_vec_env("NDCartPole1D-v0", 2), n_steps=8, learner_distribution=mixture)
    (component,) = model.dataset.info.learner_distribution
    assert component == {"width": [16, 32], "depth": [1, 2], "layer_norm": 0.5}


def test_numbers_that_are_set_later():
    model = PPMO("MlpPolicy", make_vec_env("NDCartPole1D-v0", 2), n_steps=8, n_epochs=1)
    model.ent_coef, model.n_epochs = np.float32(0.5), np.int64(2)
    model.learn(16)
    assert (type(model.ent_coef), type(model.n_epochs)) == (float, int)


def test_arguments_of_evaluation():
    dataset = SyntheticDataset.load("NDCartPole1D-v0")
    returns = evaluate_learners(dataset, np.int64(2), np.int64(2), max_envs=np.int64(4), seed=np.int64(1)).returns
    np.testing.assert_array_equal(returns, evaluate_learners(dataset, 2, 2, max_envs=4, seed=1).returns)


def test_a_time_limit():
    env = make_vec_env("CartPole-v1", 2, env_kwargs={"max_episode_steps": np.int64(7)})
    model = PPMO("MlpPolicy", env, n_steps=8, n_epochs=1)
    assert model.dataset.info.env_kwargs == {"max_episode_steps": 7}


def test_a_number_that_is_not_whole():
    with pytest.raises(ValueError, match="`n_envs` must be at least 1 and whole, got 2.5"):
        make_vec_env("CartPole-v1", np.float64(2.5))
