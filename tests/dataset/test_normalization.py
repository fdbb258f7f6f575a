"""Weights of observations: one truth, whoever asks."""

import copy
import pickle

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from sb3_distill import PPMO, SyntheticDataset
from sb3_distill.dataset import Normalization

X = np.array([[0.1, -0.2, 3.0]], dtype=np.float32)


@pytest.fixture
def model():
    env = VecNormalize(make_vec_env("Pendulum-v1", 4, seed=0))
    arguments = dict(n_instances=4, n_steps=16, policy_kwargs=dict(net_arch=[8]), input_scale_learning_rate=0.01, seed=0)
    return PPMO("MlpPolicy", env, **arguments, device="cpu").learn(64)


def assert_same(dataset, tmp_path):
    dataset.save(tmp_path / "set.safetensors")
    again = SyntheticDataset.load(tmp_path / "set.safetensors")
    expected = Normalization(dataset.info.normalization.mean, dataset.info.normalization.var)(X)
    expected = expected * dataset.log_input_scale.detach().exp().numpy()
    for normalization in (dataset.info.normalization, again.info.normalization, copy.deepcopy(dataset).info.normalization):
        np.testing.assert_array_equal(normalization(X), expected)
    assert again.log_input_scale.equal(dataset.log_input_scale)


def test_a_loaded_state_reaches_the_normalisation(model, tmp_path):
    dataset = model.dataset
    state = {name: value.clone() for name, value in dataset.state_dict().items()}
    state["log_input_scale"] += 1.0
    dataset.load_state_dict(state)
    assert_same(dataset, tmp_path)


def test_parameters_of_a_model_reach_the_normalisation(model, tmp_path):
    parameters = copy.deepcopy(model.get_parameters())
    parameters["dataset"]["log_input_scale"] += 0.5
    model.set_parameters(parameters)
    assert_same(model.dataset, tmp_path)


def test_a_model_zip_has_the_same(model, tmp_path):
    model.save(tmp_path / "model.zip")
    again = PPMO.load(tmp_path / "model.zip", device="cpu")
    np.testing.assert_array_equal(again.dataset.info.normalization(X), model.dataset.info.normalization(X))
    assert_same(again.dataset, tmp_path)


def test_a_copy_is_independent(model):
    twin = copy.deepcopy(model.dataset)
    with th.no_grad():
        twin.log_input_scale += 1.0
    assert not np.array_equal(twin.info.normalization(X), model.dataset.info.normalization(X))


def test_pickles_hold_arrays():
    normalization = Normalization(np.zeros(3), np.ones(3), scale=np.array([1.0, 2.0, 0.5], dtype=np.float32))
    state = normalization.__getstate__()
    assert all(isinstance(value, (float, np.ndarray)) for value in state.values())
    again = pickle.loads(pickle.dumps(normalization))
    np.testing.assert_array_equal(again(X), normalization(X))
    np.testing.assert_allclose(again.with_scale_in_variance()(X), normalization(X), rtol=1e-6)
