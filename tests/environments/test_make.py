"""The Gymnasium adapter against SB3's own vector environment, and who gets which."""

import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

from sb3_distill import PPMO, SyntheticDataset, make_vec_env
from sb3_distill.environments.gymnasium_vec_env import GymnasiumVecEnv
from sb3_distill.environments.origin import env_origin


def test_the_adapter_steps_as_sb3s_dummy_vec_env():
    native = make_vec_env("NDCartPole2D-v0", 4, seed=3)
    dummy = DummyVecEnv([lambda: Monitor(gym.make("NDCartPole2D-v0")) for _ in range(4)])
    observations = native.reset()
    dummy.reset()
    for env, state in zip(dummy.envs, native.unwrapped.env.state, strict=True):
        env.unwrapped.state = state.copy()
    assert observations.shape == (4, 8)
    assert observations.dtype == np.float32
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(60):
        actions = rng.integers(4, size=4)
        ours, theirs = native.step(actions), dummy.step(actions)
        np.testing.assert_array_equal(ours[1], theirs[1])
        np.testing.assert_array_equal(ours[2], theirs[2])
        for i, (info, expected) in enumerate(zip(ours[3], theirs[3], strict=True)):
            if ours[2][i]:
                ends += 1
                np.testing.assert_array_equal(info["terminal_observation"], expected["terminal_observation"])
                assert info["TimeLimit.truncated"] == expected["TimeLimit.truncated"]
                assert info["episode"]["r"] == expected["episode"]["r"]
                assert info["episode"]["l"] == expected["episode"]["l"]
                dummy.envs[i].unwrapped.state = native.unwrapped.env.state[i].copy()
            else:
                np.testing.assert_array_equal(ours[0][i], theirs[0][i])
    assert ends > 3


def test_native_where_one_exists_and_nothing_asks_for_single_environments(tmp_path):
    assert isinstance(make_vec_env("NDCartPole2D-v0", 2).unwrapped, GymnasiumVecEnv)
    # CartPole has a vector environment too, but one that cannot reset in the same step.
    assert isinstance(make_vec_env("CartPole-v1", 2).unwrapped, DummyVecEnv)
    for kwargs in (
        dict(wrapper_class=gym.wrappers.ClipReward, wrapper_kwargs=dict(max_reward=0.5)), dict(monitor_dir=str(tmp_path)),
        dict(vec_env_cls=DummyVecEnv),
    ):  # fmt: skip
        env = make_vec_env("NDCartPole2D-v0", 2, **kwargs)
        assert isinstance(env.unwrapped, DummyVecEnv)
        env.close()
    assert isinstance(make_vec_env(lambda: gym.make("NDCartPole2D-v0"), 2).unwrapped, DummyVecEnv)


def test_the_seed_decides():
    one, two, other = (make_vec_env("NDCartPole2D-v0", 3, seed=seed).reset() for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).all()


def test_sb3_wrappers_and_algorithms_take_it():
    env = VecFrameStack(VecNormalize(make_vec_env("NDCartPole1D-v0", 4)), 2)
    PPO("MlpPolicy", env, n_steps=16, batch_size=64, n_epochs=1).learn(64)
    frames = make_vec_env("NDCartPole1D-v0", 2, env_kwargs=dict(render_mode="rgb_array"))
    frames.reset()
    assert frames.get_images()[1].shape == (240, 360, 3)


def test_other_autoreset_modes_are_refused():
    with pytest.raises(ValueError, match="NEXT_STEP, but SB3 needs SAME_STEP"):
        GymnasiumVecEnv(gym.make_vec("NDCartPole1D-v0", num_envs=2))
    with pytest.raises(ValueError, match="vector_kwargs"):
        GymnasiumVecEnv(gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync"))
    kwargs = dict(autoreset_mode=AutoresetMode.SAME_STEP)
    GymnasiumVecEnv(gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync", vector_kwargs=kwargs)).reset()


def test_single_environments_have_no_attributes_of_their_own():
    env = make_vec_env("NDCartPole1D-v0", 2)
    assert env.get_attr("n_dims") == [1, 1]
    assert env.env_is_wrapped(Monitor) == [False, False]
    with pytest.raises(NotImplementedError, match="x"):
        env.unwrapped.set_attr("x", 1)
    with pytest.raises(NotImplementedError, match="x"):
        env.unwrapped.env_method("x")


@pytest.mark.parametrize("cls", [gym.vector.SyncVectorEnv, gym.vector.AsyncVectorEnv])
def test_single_environments_inside_of_gymnasiums_answer_themselves(cls):
    makers = [lambda length=length: gym.make("CartPole-v1", max_episode_steps=length) for length in (5, 6)]
    env = GymnasiumVecEnv(cls(makers, autoreset_mode=AutoresetMode.SAME_STEP))
    assert env.has_attr("gravity")
    assert not env.has_attr("nonsense")
    assert env.get_attr("gravity") == [9.8, 9.8]
    assert env.env_method("get_wrapper_attr", "_max_episode_steps", indices=[1]) == [6]
    env.close()


@pytest.mark.parametrize("space", [spaces.Graph(spaces.Box(-1, 1, (2,)), None), spaces.Dict(a=spaces.Text(3))], ids=str)
def test_spaces_that_sb3s_vector_environments_cannot_hold_are_named(space):
    class Odd(gym.Env):
        observation_space, action_space = space, spaces.Discrete(2)

    with pytest.raises(ValueError, match="observation space (Graph|Text).* is not supported"):
        make_vec_env(Odd, 2)


def test_a_mistake_in_an_environment_shows_itself():
    def broken():
        raise TypeError("my own mistake")

    with pytest.raises(TypeError, match="my own mistake"):
        make_vec_env(broken, 2)


def test_where_an_environment_comes_from():
    assert env_origin(make_vec_env("NDCartPole3D-v0", 2)) == ("NDCartPole3D-v0", {})
    assert env_origin(make_vec_env("NDCartPole-v0", 2, env_kwargs=dict(n_dims=4))) == ("NDCartPole-v0", {"n_dims": 4})
    pendulum = VecNormalize(make_vec_env("Pendulum-v1", 1, env_kwargs=dict(g=5.0)))
    assert env_origin(pendulum) == ("Pendulum-v1", {"g": 5.0})


@pytest.mark.parametrize("env_id, simulator, extra", [("Ant-v5", "mujoco", "mujoco"), ("LunarLander-v3", "Box2D", "box2d")])
def test_what_to_install_for_a_simulator(monkeypatch, env_id, simulator, extra):
    monkeypatch.setitem(sys.modules, simulator, None)
    with pytest.raises(ImportError, match=rf'{env_id} needs {simulator}: pip install "sb3-distill\[{extra}\]"'):
        make_vec_env(env_id, 2)
    with pytest.raises(ImportError, match=f"{env_id} needs {simulator}"):
        PPMO("MlpPolicy", env_id)


def test_what_a_caller_asks_for_precedes_what_a_dataset_records():
    dataset = SyntheticDataset.load("NDCartPole1D-v0")
    dataset.info.env_id, dataset.info.env_kwargs = "NDCartPole-v0", {"n_dims": 3}
    assert make_vec_env(dataset, 2).observation_space.shape == (12,)
    assert make_vec_env(dataset, 2, env_kwargs=dict(n_dims=4)).observation_space.shape == (16,)
    assert isinstance(make_vec_env(dataset, 2).unwrapped, GymnasiumVecEnv)
    assert isinstance(make_vec_env(dataset, 2, vec_env_cls=DummyVecEnv).unwrapped, DummyVecEnv)
    dataset.info.env_id = None
    with pytest.raises(ValueError, match="does not say for which environment it was made"):
        make_vec_env(dataset, 2)


def test_at_least_one_environment():
    with pytest.raises(ValueError, match="`n_envs` must be at least 1, got 0"):
        make_vec_env("CartPole-v1", 0)


class Chatty(gym.Env):
    """Says something beside its numbers."""

    observation_space = gym.spaces.Dict(one=gym.spaces.Box(-1, 1, (2,)), text=gym.spaces.Text(4))
    action_space = gym.spaces.Discrete(2)


def test_a_key_that_no_policy_takes_is_named_before_sb3_stumbles_over_it():
    with pytest.raises(ValueError, match=r"key 'text'.*not supported: leave this key out with a wrapper"):
        make_vec_env(Chatty, 2)
