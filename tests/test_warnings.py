"""Warnings show the line of the user's program that caused them."""

import warnings

import gymnasium as gym
import pytest
from gymnasium.wrappers import NormalizeObservation

from sb3_distill import PPMO, evaluate_learners, make_vec_env

ROLLOUT = dict(n_steps=8, n_epochs=1, seed=0)


def without_a_version():
    make_vec_env("CartPole", 2)


def model_without_a_version():
    PPMO("MlpPolicy", "CartPole", **ROLLOUT)


def evaluation_without_a_version():
    evaluate_learners("CartPole-v1", 1, 1, env="CartPole")


def statistics_of_a_wrapper():
    PPMO("MlpPolicy", make_vec_env("CartPole-v1", 2, wrapper_class=NormalizeObservation), **ROLLOUT)


def truncated_minibatches():
    PPMO("MlpPolicy", gym.make("CartPole-v1"), **{**ROLLOUT, "n_steps": 16}, batch_size=10)


def settings_of_a_continued_set():
    PPMO("MlpPolicy", make_vec_env("CartPole-v1", 2), initial_dataset="CartPole-v1", n_instances=77, **ROLLOUT)


@pytest.mark.parametrize(
    "function",
    [
        without_a_version, model_without_a_version, evaluation_without_a_version, statistics_of_a_wrapper,
        truncated_minibatches, settings_of_a_continued_set,
    ],
)  # fmt: skip
def test_a_warning_shows_the_line_of_the_user(function):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        function()
    ours = [warning for warning in caught if warning.category is UserWarning]
    assert ours
    first = function.__code__.co_firstlineno
    assert {(warning.filename, warning.lineno) for warning in ours} == {(__file__, first + 1)}
