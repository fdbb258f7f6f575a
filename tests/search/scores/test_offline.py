"""Architectures judged by what they learn from recorded play."""

import json

import numpy as np
import pytest
from recordings import recording

from sb3_distill.errors import ArgumentError, RecordingError
from sb3_distill.offline import Recording, record
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.scores.offline import OfflineScore

NETWORK = PolicyArchitecture((64, 64))


@pytest.fixture(scope="module")
def mixed():
    good = record("NDCartPole1D-v0/wide", n_episodes=6, n_envs=6, noise=0.2, seed=0)
    return Recording.concatenate([good, record("random", env="NDCartPole1D-v0", n_episodes=100, seed=1)])


def test_behaviour_cloning_lowers_the_held_out_loss(mixed):
    score = OfflineScore(mixed)
    first, last = (score.score(NETWORK, [0, 1], budget) for budget in (1, None))
    assert min(last.per_seed) > max(first.per_seed) + 0.05
    assert max(first.per_seed) < 0
    assert last.env_steps == 0


def test_a_network_is_scored_alike_alone_and_among_others(mixed):
    score = OfflineScore(mixed, n_steps=20)
    together = score.score(NETWORK, [3, 4, 5]).per_seed
    assert together[1] == pytest.approx(score.score(NETWORK, [4]).per_seed[0], rel=1e-4)
    assert len(set(together)) == 3


def test_iql_beats_the_behaviour(mixed):
    settings = {"tau": 0.02}
    score = OfflineScore(mixed, "iql", 400, batch_size=64, n_episodes=20, learning_rate=3e-3, settings=settings)
    assert min(score.score(NETWORK, [0, 1]).per_seed) > 2 * mixed.behaviour_mean


def test_td3_bc_and_normalised_observations():
    play = record("random", env="Pendulum-v1", n_steps=400, n_envs=2, seed=0)
    score = OfflineScore(play, "td3+bc", n_steps=10, n_episodes=2)
    assert score.normalize
    result = score.score(PolicyArchitecture((8,)), [0, 1])
    assert all(-2_000 < one < 0 for one in result.per_seed)
    by_loss = OfflineScore(play, "td3+bc", n_steps=10, by="loss").score(PolicyArchitecture((8,)), [0])
    assert -4 < by_loss.mean < 0


def test_the_learning_rate_of_an_architecture_counts(mixed):
    score = OfflineScore(mixed, n_steps=5)
    fast = PolicyArchitecture((64, 64), learning_rate=1e-2)
    assert score.score(fast, [0]).per_seed == OfflineScore(mixed, n_steps=5, learning_rate=1e-2).score(NETWORK, [0]).per_seed
    assert score.score(fast, [0]).per_seed != score.score(NETWORK, [0]).per_seed


def test_a_diverged_network_is_worth_nothing(mixed):
    score = OfflineScore(mixed, "iql", n_steps=20, by="loss", learning_rate=1e30)
    assert score.score(PolicyArchitecture((8,), "relu"), [0]).per_seed == (-np.inf,)


def test_files(tmp_path):
    recording().save(tmp_path / "play.safetensors")
    score = OfflineScore(tmp_path / "play.safetensors", n_steps=2)
    assert np.isfinite(score.score(NETWORK, [0]).mean)


def test_what_tells_it_from_others(mixed):
    about = OfflineScore(mixed, "iql").describe()
    assert json.loads(json.dumps(about)) == about
    assert about["settings"]["expectile"] == 0.7
    assert about["env_id"] == "NDCartPole1D-v0"
    assert OfflineScore(mixed).describe() != OfflineScore(recording()).describe()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"method": "cql"}, "unknown `method` 'cql'; known are bc, td3.bc, iql"),
        ({"method": "td3+bc"}, "td3.bc is for actions that are real numbers"),
        ({"by": "reward"}, "`by` must be 'loss' or 'return', got 'reward'"),
        ({"by": "return"}, "the recording names no environment: pass `env`"),
        ({"held_out": 1.0}, "`held_out` must be between 0 and 1, got 1.0"),
        ({"n_steps": 0}, "`n_steps` must be a whole number from 1, got 0"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be positive"),
        ({"settings": {"expectile": 0.8}}, "bc has no setting 'expectile'; known are none"),
        ({"method": "iql", "by": "loss", "settings": {"alpha": 1}}, "iql has no setting 'alpha'; known are gamma, tau"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        OfflineScore(recording(), **arguments)


def test_what_does_not_fit(mixed):
    score = OfflineScore(mixed)
    with pytest.raises(ArgumentError, match="`seeds` is empty"):
        score.score(NETWORK, [])
    with pytest.raises(ArgumentError, match="convolutions needs images"):
        score.score(PolicyArchitecture(convolutions=((2, 8, 8),)), [0])
    with pytest.raises(ArgumentError, match="networks are made for Box.4,., the environment has Box.8,."):
        OfflineScore(mixed, by="return", env="NDCartPole2D-v0", n_steps=1).score(NETWORK, [0])


def first_steps(n):
    """The first steps of a recording as one episode."""
    columns = recording().columns
    return recording(
        observations=columns.observations[:n], actions=columns.actions[:n], rewards=columns.rewards[:n],
        terminated=columns.terminated[:n], truncated=columns.truncated[:n], ends=np.array([n] if n else [], int),
        last_observations=columns.last_observations[: min(n, 1)], episode_sources=columns.episode_sources[: min(n, 1)],
    )  # fmt: skip


def test_play_that_is_too_short():
    with pytest.raises(RecordingError, match="the recording is empty"):
        OfflineScore(first_steps(0))
    with pytest.raises(ArgumentError, match="the recording has one step"):
        OfflineScore(first_steps(1))
