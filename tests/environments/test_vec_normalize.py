"""Statistics that leave a VecNormalize and continue in another."""

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

from sb3_distill.environments.vec_normalize import (
    continue_return_variance,
    continue_statistics,
    normalization_of,
    normalized_space,
    return_variance_of,
)
from sb3_distill.trees import leaves

BOX = gym.spaces.Box(-9, 9, (2,))
SPACES = {"box": BOX, "dict": gym.spaces.Dict(a=BOX, b=gym.spaces.Box(-9, 9, (3,)))}


class Noise(gym.Env):
    """Shows and pays random numbers."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self, space):
        self.observation_space = space
        space.seed(0)

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), float(action), False, False, {}


def normalized(space, n_steps=0, **kwargs):
    env = VecNormalize(DummyVecEnv([lambda: Noise(space) for _ in range(2)]), **kwargs)
    if n_steps:
        env.reset()
    for step in range(n_steps):
        env.step(np.array([step % 2, 1]))
    return env


def test_environments_without_normalisation_have_no_statistics():
    assert normalization_of(DummyVecEnv([lambda: Noise(BOX)])) is None
    assert normalization_of(normalized(BOX, norm_obs=False)) is None


@pytest.mark.parametrize("kind", SPACES)
def test_statistics_normalise_as_the_environment_does(kind):
    env = normalized(SPACES[kind], 5, clip_obs=1.5)
    raw = env.get_original_obs()
    for one, other in zip(leaves(normalization_of(env)(raw)), leaves(env.normalize_obs(raw)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("kind", SPACES)
def test_statistics_continue_in_a_fresh_environment(kind):
    old, new = normalized(SPACES[kind], 5, clip_obs=1.5), normalized(SPACES[kind])
    continue_statistics(new, normalization_of(old))
    raw = old.get_original_obs()
    for one, other in zip(leaves(new.normalize_obs(raw)), leaves(old.normalize_obs(raw)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert new.clip_obs == 1.5


def test_statistics_that_exist_are_kept():
    env = normalized(BOX, 5)
    mean = env.obs_rms.mean.copy()
    continue_statistics(env, normalization_of(normalized(BOX, 9)))
    np.testing.assert_array_equal(env.obs_rms.mean, mean)


def test_statistics_of_stacked_frames_continue_below_the_stack():
    inner = normalized(BOX, 5)
    stacked = normalization_of(VecFrameStack(inner, 3))
    np.testing.assert_array_equal(stacked.mean, np.tile(inner.obs_rms.mean, 3))
    fresh = normalized(BOX)
    continue_statistics(fresh, stacked)
    np.testing.assert_array_equal(fresh.obs_rms.mean, inner.obs_rms.mean)


def test_each_key_is_stacked_below_a_frame_stack():
    inner = normalized(SPACES["dict"], 5)
    stacked = normalization_of(VecFrameStack(inner, 2))
    for key, rms in inner.obs_rms.items():
        np.testing.assert_array_equal(stacked.mean[key], np.tile(rms.mean, 2))
        np.testing.assert_array_equal(stacked.var[key], np.tile(rms.var, 2))


@pytest.mark.parametrize("other", [gym.spaces.Box(-9, 9, (3,)), SPACES["dict"]])
def test_statistics_of_other_observations_are_refused(other):
    with pytest.raises(ValueError, match="not of the observations that enter this VecNormalize"):
        continue_statistics(normalized(BOX), normalization_of(normalized(other, 2)))
    with pytest.raises(ValueError, match="leave out norm_obs=False"):
        continue_statistics(normalized(BOX, norm_obs=False), normalization_of(normalized(BOX, 2)))


def test_the_scale_of_rewards_travels_once():
    old, new = normalized(BOX, 9), normalized(BOX)
    for env in (None, new, normalized(BOX, 9, norm_reward=False)):
        assert return_variance_of(env) is None
    continue_return_variance(new, None)
    assert return_variance_of(new) is None
    continue_return_variance(new, return_variance_of(old))
    assert return_variance_of(new) == return_variance_of(old) > 0
    continue_return_variance(new, 7.0)
    assert return_variance_of(new) == return_variance_of(old)


def test_normalised_whole_numbers_become_real_ones():
    bytes_ = gym.spaces.Box(0, 255, (2,), np.uint8)
    real = gym.spaces.Box(-np.inf, np.inf, (2,))
    assert normalized_space(bytes_, None) is bytes_
    assert normalized_space(bytes_, normalized(bytes_)) == real
    assert normalized_space(BOX, normalized(BOX)) is BOX
    mixed = gym.spaces.Dict(a=bytes_, b=bytes_)
    assert normalized_space(mixed, normalized(mixed, norm_obs_keys=["b"])) == gym.spaces.Dict(a=bytes_, b=real)
