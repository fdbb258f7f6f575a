"""What an id tells before anything is made."""

import gymnasium as gym
import numpy as np
import pytest

from sb3_distill import PPMO, make_vec_env
from sb3_distill.environments.gymnasium_vec_env import GymnasiumVecEnv
from sb3_distill.environments.make import fastest_class, has_native_vector_env
from sb3_distill.environments.origin import env_origin
from sb3_distill.environments.plugins import full_id, import_plugin, is_atari, is_cheap, is_simulator, registered_name
from sb3_distill.environments.worker_vec_env import WorkerVecEnv


def test_an_id_loses_its_module():
    assert registered_name("nd_cartpole:NDCartPole2D-v0") == "NDCartPole2D-v0"
    assert registered_name("ALE/Pong-v5") == "ALE/Pong-v5"


def test_the_module_of_an_id_is_imported():
    with pytest.raises(ImportError, match="no_such_module:CartPole-v1 needs no_such_module"):
        import_plugin("no_such_module:CartPole-v1")
    import_plugin("nd_cartpole:NDCartPole2D-v0")


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "nd_cartpole:NDCartPole2D-v0"])
def test_small_programs_are_cheap(env_id):
    assert is_cheap(env_id)
    assert not is_simulator(env_id)
    assert not is_atari(env_id)


@pytest.mark.parametrize("env_id", ["Ant-v5", "LunarLander-v3", "PongRAM-v0"])
def test_simulators_are_known_without_being_installed(env_id):
    assert is_simulator(env_id)


def test_only_several_simulators_on_several_cores_are_stepped_by_workers(monkeypatch):
    monkeypatch.setattr("sb3_distill.environments.make.n_cores", lambda: 4)
    monkeypatch.setattr("sb3_distill.environments.make.can_fork", lambda: True)
    assert fastest_class("Ant-v5", 2) is WorkerVecEnv
    for env_id, n_envs in (("Ant-v5", 1), ("CartPole-v1", 2), (lambda: gym.make("Ant-v5"), 2)):
        assert fastest_class(env_id, n_envs) is None
    monkeypatch.setattr("sb3_distill.environments.make.n_cores", lambda: 1)
    assert fastest_class("Ant-v5", 2) is None


def test_a_native_vector_environment_must_reset_in_the_same_step():
    assert has_native_vector_env("NDCartPole2D-v0")
    assert not has_native_vector_env("CartPole-v1")  # has one that resets in the next step
    assert not has_native_vector_env("Pendulum-v1")


def test_an_id_without_a_version_is_the_latest():
    assert registered_name("CartPole") == "CartPole-v1"
    assert registered_name("gymnasium:CartPole") == "CartPole-v1"
    assert registered_name("CartPole-v0") == "CartPole-v0"
    assert registered_name("no id at all!") == "no id at all!"
    assert registered_name("NoSuchTask") == "NoSuchTask"
    assert full_id("CartPole-v1") == "CartPole-v1"
    with pytest.warns(UserWarning, match="'gymnasium:CartPole' has no version: the latest one, CartPole-v1, is taken"):
        assert full_id("gymnasium:CartPole") == "gymnasium:CartPole-v1"


@pytest.mark.filterwarnings("ignore:the id 'NDCartPole2D' has no version", "ignore:the id 'CartPole' has no version")
def test_environments_of_an_id_without_a_version():
    assert isinstance(make_vec_env("NDCartPole2D", 2).unwrapped, GymnasiumVecEnv)
    assert env_origin(make_vec_env("CartPole", np.int64(2), seed=np.int64(3))) == ("CartPole-v1", {})
    assert PPMO("MlpPolicy", "CartPole", n_steps=8).dataset.info.env_id == "CartPole-v1"
