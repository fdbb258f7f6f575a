"""EnvPool behind SB3's interface; where it is not installed, the error says what to install."""

import sys

import numpy as np
import pytest

from sb3_distill import PPMO, make_vec_env
from sb3_distill.environments.envpool_vec_env import EnvPoolVecEnv


def test_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(ImportError, match=r'pip install "sb3-distill\[envpool\]"'):
        make_vec_env("CartPole-v1", 2, vec_env_cls=EnvPoolVecEnv)


def test_an_episode_ends_and_begins_in_one_step():
    pytest.importorskip("envpool")
    env = make_vec_env("CartPole-v1", 4, seed=0, vec_env_cls=EnvPoolVecEnv)
    assert np.abs(env.reset()).max() <= 0.05
    ended = 0
    for _ in range(100):
        observations, _, dones, infos = env.step(np.zeros(4, dtype=int))
        for i in np.flatnonzero(dones):
            ended += 1
            assert np.abs(observations[i]).max() <= 0.05 < np.abs(infos[i]["terminal_observation"]).max()
            assert infos[i]["episode"]["l"] == infos[i]["episode"]["r"] < 20
            assert not infos[i]["TimeLimit.truncated"]
    assert ended > 20
    env.close()


def test_what_it_does_not_have():
    pytest.importorskip("envpool")
    with pytest.raises(ValueError, match="EnvPool has no 'NDCartPole2D-v0'"):
        make_vec_env("NDCartPole2D-v0", 2, vec_env_cls=EnvPoolVecEnv)


def test_ppmo_learns_in_it():
    pytest.importorskip("envpool")
    env = make_vec_env("CartPole-v1", 8, seed=0, vec_env_cls=EnvPoolVecEnv)
    model = PPMO("MlpPolicy", env, n_steps=32, seed=0).learn(1_000)
    assert model.dataset.info.env_id == "CartPole-v1"


def test_what_it_cannot_take_is_refused():
    with pytest.raises(ValueError, match="take no wrapper and no monitor of their own"):
        make_vec_env("CartPole-v1", 2, vec_env_cls=EnvPoolVecEnv, wrapper_class=lambda env: env)


def test_seeds_decide():
    pytest.importorskip("envpool")
    labels = []
    for _ in range(2):
        env = make_vec_env("CartPole-v1", 4, vec_env_cls=EnvPoolVecEnv)
        labels.append(PPMO("MlpPolicy", env, n_steps=32, seed=0).learn(300).dataset.labels.detach().numpy())
    np.testing.assert_array_equal(*labels)


def test_it_shows_the_contact_forces_that_gymnasium_shows():
    pytest.importorskip("envpool")
    forces = []
    for cls in (EnvPoolVecEnv, None):
        env = make_vec_env("Humanoid-v4", 4, seed=0, vec_env_cls=cls)
        env.reset()
        actions = np.zeros((4, 17), dtype=np.float32)
        forces.append(np.mean([np.abs(env.step(actions)[0][:, -84:]).mean() for _ in range(60)]))
        env.close()
    assert forces[0] > 0.5
    assert forces[0] == pytest.approx(forces[1], rel=0.3)
