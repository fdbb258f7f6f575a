"""Architectures judged by a PPO of all seeds at once."""

import json

import numpy as np
import pytest
from helpers import FaultyEnv, ImageEnv

from sb3_distill import make_vec_env
from sb3_distill.errors import ArgumentError
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.scores.stacked_ppo import StackedOnlineScore

SMALL = {"n_steps": 16, "batch_size": 32, "n_epochs": 2}


def test_policies_learn():
    score = StackedOnlineScore("NDCartPole1D-v0", 30_000, n_episodes=20, learning_rate=3e-3)
    architecture = PolicyArchitecture((32, 32))
    trained = score.score(architecture, [0, 1, 2])
    short = score.score(architecture, [0, 1, 2], budget=1_024)
    assert min(trained.per_seed) > 150
    assert max(short.per_seed) < 60
    assert short.env_steps == 3 * 1_024
    assert trained.env_steps == 3 * 30 * 1_024


def test_a_score_repeats():
    score = StackedOnlineScore("CartPole-v1", 200, n_envs=2, n_episodes=3, settings=SMALL)
    one, other = (score.score(PolicyArchitecture((8,)), [3, 4]) for _ in range(2))
    assert one.per_seed == other.per_seed
    assert one.per_seed[0] != one.per_seed[1]
    assert one.env_steps == 2 * 224


def test_the_step_size_falls_to_zero(monkeypatch):
    from sb3_distill.search.scores.stacked.table import TableAdam

    rates = []
    monkeypatch.setattr(TableAdam, "set_rate", lambda self, rate: rates.append(rate))
    StackedOnlineScore("CartPole-v1", 96, n_envs=2, n_episodes=1, settings=SMALL).score(
        PolicyArchitecture((8,), learning_rate=0.3), [0]
    )
    np.testing.assert_allclose(rates, [0.2, 0.1, 0.0], atol=1e-9)


@pytest.mark.parametrize("env", ["Pendulum-v1", ImageEnv])
def test_other_spaces(env):
    convolutions = ((2, 8, 8),) if env is ImageEnv else ()
    score = StackedOnlineScore(env, 32, n_envs=1, n_episodes=2, settings=SMALL)
    result = score.score(PolicyArchitecture((8,), "relu", convolutions=convolutions), [0, 1])
    assert np.isfinite(result.per_seed).all()


def test_policies_see_normalised_observations_when_they_are_judged():
    score = StackedOnlineScore("Pendulum-v1", 64, n_envs=1, n_episodes=2, normalize=True, settings=SMALL)
    trained = score.train(PolicyArchitecture((8,)), [0, 1])
    normalizer = trained.actors.normalization
    assert normalizer.observations.count == pytest.approx(65, abs=0.01)  # observations of the reset, and of each step
    assert np.isfinite(score.score(PolicyArchitecture((8,)), [0, 1]).per_seed).all()
    assert score.describe() != StackedOnlineScore("Pendulum-v1", 64, n_envs=1, n_episodes=2, settings=SMALL).describe()


def test_a_diverged_policy_is_worth_nothing():
    score = StackedOnlineScore(
        lambda: FaultyEnv(10**9, ""), 64, n_envs=1, n_episodes=1, learning_rate=1e30, settings={**SMALL, "n_epochs": 8}
    )
    assert score.score(PolicyArchitecture((8,), "relu"), [0]).per_seed == (-np.inf,)


def test_what_tells_it_from_others():
    about = StackedOnlineScore("CartPole-v1", 200, settings=SMALL).describe()
    assert json.loads(json.dumps(about)) == about
    assert about != StackedOnlineScore("CartPole-v1", 200).describe()


def test_what_does_not_fit():
    score = StackedOnlineScore("CartPole-v1", 64, settings=SMALL)
    with pytest.raises(ArgumentError, match="`seeds` is empty"):
        score.score(PolicyArchitecture(), [])
    with pytest.raises(ArgumentError, match="convolutions needs images, got Box"):
        score.score(PolicyArchitecture(convolutions=((2, 8, 8),)), [0])
    with pytest.raises(ArgumentError, match="`budget` must be a whole number"):
        score.score(PolicyArchitecture(), [0], budget=0)
    with pytest.raises(ArgumentError, match="`learning_rate` must be positive"):
        StackedOnlineScore("CartPole-v1", 64, learning_rate=0.0)
    with pytest.raises(ArgumentError, match="`env` must make any number of environments"):
        StackedOnlineScore(make_vec_env("CartPole-v1", 2), 64).score(PolicyArchitecture(), [0])
