"""The environment against Gymnasium's cart-pole, its checkers, and itself in its two forms."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import nd_cartpole
from nd_cartpole import dynamics

IDS = ["NDCartPole-v0", *(f"NDCartPole{n}D-v0" for n in (1, 2, 3, 4, 5, 10))]


def test_one_dimension_is_cartpole_step_for_step():
    ours, theirs = gym.make("NDCartPole1D-v0"), gym.make("CartPole-v1")
    rng = np.random.default_rng(0)
    for episode in range(20):
        observation, _ = ours.reset(seed=episode)
        theirs.reset(seed=episode)
        theirs.unwrapped.state = ours.unwrapped.state[0].copy()
        ended = False
        while not ended:
            # Half of the episodes are steered, so that some reach the time limit.
            action = int(observation @ [0.02, 0.05, 0.9, 0.22] > 0) if episode % 2 else int(rng.integers(2))
            observation, reward, terminated, truncated, _ = ours.step(action)
            expected = theirs.step(action)
            np.testing.assert_allclose(observation, expected[0], atol=1e-6)
            assert (reward, terminated, truncated) == expected[1:4]
            ended = terminated or truncated
        assert episode % 2 == 0 or truncated


@pytest.mark.parametrize("n_dims", [2, 5])
def test_axes_are_independent_cartpoles(n_dims):
    rng = np.random.default_rng(1)
    state = rng.uniform(-0.1, 0.1, (n_dims, 4))
    for action, force in enumerate(dynamics.forces(n_dims)):
        assert np.flatnonzero(force).tolist() == [action // 2]
        assert force[action // 2] == (10.0 if action % 2 else -10.0)
        together = dynamics.step(state, force)
        alone = [dynamics.step(state[i : i + 1], force[i : i + 1]) for i in range(n_dims)]
        np.testing.assert_array_equal(together, np.concatenate(alone))


@pytest.mark.parametrize("entry, limit", [(0, dynamics.POSITION_LIMIT), (2, dynamics.ANGLE_LIMIT)])
def test_any_axis_out_of_bounds_ends_the_episode(entry, limit):
    state = np.zeros((3, 4))
    state[1, entry] = -limit
    assert not dynamics.out_of_bounds(state)
    state[1, entry] *= 1.001
    assert dynamics.out_of_bounds(state)
    assert dynamics.out_of_bounds(np.stack([np.zeros((3, 4)), state])).tolist() == [False, True]


def test_five_hundred_steps_are_a_truncation():
    env = gym.make("NDCartPole2D-v0")
    observation, _ = env.reset(seed=0)
    for step in range(500):
        scores = observation.reshape(2, 4) @ [0.02, 0.05, 0.9, 0.22]
        axis = np.abs(scores).argmax()
        observation, reward, terminated, truncated, _ = env.step(2 * axis + (scores[axis] > 0))
        assert reward == 1.0
        assert not terminated
        assert truncated == (step == 499)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_vector_env_is_the_scalar_env(mode):
    vector = gym.make_vec("NDCartPole3D-v0", num_envs=5, autoreset_mode=mode)
    observations, _ = vector.reset(seed=3)
    singles = [gym.make("NDCartPole3D-v0") for _ in range(5)]
    for i, env in enumerate(singles):
        env.reset()
        env.unwrapped.state = vector.state[i].copy()
    rng = np.random.default_rng(0)
    fresh = np.zeros(5, dtype=bool)
    n_ends = 0
    for _ in range(100):
        actions = rng.integers(6, size=5)
        observations, rewards, terminated, truncated, info = vector.step(actions)
        ended = terminated | truncated
        for i, env in enumerate(singles):
            if fresh[i]:  # NEXT_STEP: this step only reset
                assert rewards[i] == 0
                assert not ended[i]
                env.reset()
                env.unwrapped.state = vector.state[i].copy()
                continue
            expected = env.step(int(actions[i]))
            last = info["final_obs"][i] if mode is AutoresetMode.SAME_STEP and ended[i] else observations[i]
            np.testing.assert_array_equal(last, expected[0])
            assert (rewards[i], terminated[i], truncated[i]) == expected[1:4]
            if ended[i]:
                n_ends += 1
            if ended[i] and mode is AutoresetMode.SAME_STEP:
                assert info["_final_obs"][i]
                assert np.abs(observations[i]).max() <= 0.05
                env.reset()
                env.unwrapped.state = vector.state[i].copy()
        fresh = ended if mode is AutoresetMode.NEXT_STEP else np.zeros(5, dtype=bool)
    assert n_ends > 5


def test_vector_env_truncates_by_itself():
    vector = gym.make_vec("NDCartPole1D-v0", num_envs=2, autoreset_mode=AutoresetMode.SAME_STEP)
    vector.unwrapped.max_episode_steps = 4
    vector.reset(seed=0)
    flags = [vector.step(np.array([i % 2, i % 2]))[3].all() for i in range(8)]
    assert flags == [False, False, False, True] * 2


@pytest.mark.parametrize("env_id", IDS)
def test_checkers_pass(env_id):
    with warnings.catch_warnings(record=True) as ours:
        warnings.simplefilter("always")
        gymnasium_check_env(gym.make(env_id, render_mode="rgb_array").unwrapped, skip_render_check=False)
    with warnings.catch_warnings(record=True) as cartpole:
        warnings.simplefilter("always")
        gymnasium_check_env(gym.make("CartPole-v1", render_mode="rgb_array").unwrapped, skip_render_check=False)
    assert {str(w.message) for w in ours} <= {str(w.message) for w in cartpole}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sb3_check_env(gym.make(env_id))


def test_reset_options_and_seed():
    env = gym.make("NDCartPole2D-v0")
    one, two = (env.reset(seed=5)[0] for _ in range(2))
    np.testing.assert_array_equal(one, two)
    observation, _ = env.reset(options={"low": 0.1, "high": 0.2})
    assert observation.min() >= 0.1
    assert observation.max() <= 0.2


@pytest.mark.parametrize("n_dims, panels", [(1, (1, 1)), (2, (3, 1)), (5, (3, 2))])
def test_rendering_shows_a_panel_per_axis(n_dims, panels):
    env = gym.make("NDCartPole-v0", n_dims=n_dims, render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.dtype == np.uint8
    assert first.shape == (240 * panels[1], 360 * panels[0], 3)
    for _ in range(5):
        env.step(1)
    assert (env.render() != first).any()
    env.close()


def test_vector_env_renders_a_frame_each():
    vector = gym.make_vec("NDCartPole2D-v0", num_envs=3, render_mode="rgb_array")
    vector.reset(seed=0)
    frames = vector.render()
    assert len(frames) == 3
    assert frames[0].shape == (240, 1080, 3)
    vector.close()


def test_human_rendering_opens_a_window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gym.make("NDCartPole2D-v0", render_mode="human")
    env.reset(seed=0)
    env.step(0)
    env.close()


@pytest.mark.parametrize("n_dims", [0, -1, 1.5])
def test_a_wrong_number_of_axes_is_refused(n_dims):
    for cls in (nd_cartpole.NDCartPoleEnv, nd_cartpole.NDCartPoleVectorEnv):
        with pytest.raises(ValueError, match="n_dims"):
            cls(n_dims=n_dims)


def test_wrong_actions_are_refused():
    env = nd_cartpole.NDCartPoleEnv(n_dims=2)
    with pytest.raises(RuntimeError, match="reset"):
        env.step(0)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        env.step(4)
    vector = nd_cartpole.NDCartPoleVectorEnv(3)
    with pytest.raises(RuntimeError, match="reset"):
        vector.step(np.zeros(3, dtype=int))
    vector.reset(seed=0)
    for actions in (np.array([0, 1, 4]), np.array([0, 1, -1]), np.array([0, 1])):
        with pytest.raises(ValueError, match="actions"):
            vector.step(actions)


def test_disabled_autoreset_is_refused():
    with pytest.raises(ValueError, match="autoreset_mode"):
        nd_cartpole.NDCartPoleVectorEnv(autoreset_mode=AutoresetMode.DISABLED)
