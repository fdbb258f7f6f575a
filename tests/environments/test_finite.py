"""What is not finite is found, with the step and the environments where it was first seen."""

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer

from sb3_distill.environments.finite import check_finite, check_observations

N_STEPS, N_ENVS = 4, 3
BOX = spaces.Box(-1, 1, (2,))


def filled(buffer_class=RolloutBuffer, space=BOX):
    """A full buffer of zeros."""
    buffer = buffer_class(N_STEPS, space, spaces.Discrete(2), n_envs=N_ENVS)
    buffer.reset()
    return buffer


def zeros():
    return np.zeros((N_ENVS, 2), np.float32)


def test_a_rollout_of_numbers_is_fine():
    assert check_finite(filled(), 0, zeros(), [(1, 2, np.zeros(2))]) is None


def test_a_reward_is_found_at_its_step_and_environment():
    buffer = filled()
    buffer.rewards[2, 1] = np.inf
    assert check_finite(buffer, 100, zeros(), []) == "reward is NaN or infinite at step 102 of environment 1"


def test_the_first_step_is_told_and_all_environments_of_it():
    buffer = filled()
    buffer.observations[1, [0, 2], 1] = np.nan
    buffer.observations[3] = np.nan
    assert check_finite(buffer, 0, zeros(), []) == "observation is NaN or infinite at step 1 of environments 0, 2"


def test_the_observation_after_the_last_step_counts():
    last = zeros()
    last[2, 0] = -np.inf
    assert check_finite(filled(), 8, last, []) == "observation is NaN or infinite at step 12 of environment 2"


def test_the_last_observation_of_a_truncated_episode_counts():
    message = check_finite(filled(), 8, zeros(), [(0, 1, np.zeros(2)), (3, 2, np.array([0, np.nan]))])
    assert message == "last observation of an episode is NaN or infinite at step 11 of environment 2"


def test_keys_of_a_dict_are_named():
    buffer = filled(DictRolloutBuffer, spaces.Dict(a=BOX, b=BOX))
    last = {"a": zeros(), "b": zeros()}
    assert check_finite(buffer, 0, last, [(0, 0, {"a": np.zeros(2), "b": 1})]) is None
    buffer.observations["b"][0, 0] = np.nan
    assert check_finite(buffer, 0, last, []) == "observation['b'] is NaN or infinite at step 0 of environment 0"


def test_observations_are_checked_one_step_at_a_time():
    observations = {"a": zeros(), "n": np.zeros(N_ENVS, np.int64)}
    check_observations(observations, 5)
    observations["a"][1] = np.nan
    with pytest.raises(FloatingPointError, match=r"^observation\['a'\] is NaN or infinite at step 5 of environment 1$"):
        check_observations(observations, 5)


def test_a_long_list_of_environments_is_cut_short():
    with pytest.raises(FloatingPointError, match=r"at step 0 of environments 0, 1, 2, 3, 4 \.\.\.$"):
        check_observations(np.full((9, 2), np.nan), 0)
