import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.scores.online import OnlineScore
from sb3_distill.search.scores.proxies import PROXIES, ProxyScore

NETWORK = PolicyArchitecture((64, 64))


def test_ppo_is_the_same_for_a_seed_and_learns():
    evaluator = OnlineScore("NDCartPole1D-v0", 12_000, n_episodes=20)
    score, again = evaluator.score(NETWORK, [1, 2]), evaluator.score(NETWORK, [2])
    assert score.per_seed[1] == again.per_seed[0]
    assert score.env_steps >= 24_000
    assert score.mean > evaluator.score(NETWORK, [1], budget=2048).mean + 10


def test_observations_are_normalised_in_the_evaluation_too():
    score = OnlineScore("NDCartPole1D-v0", 12_000, n_episodes=20, normalize=True).score(NETWORK, [1])
    assert score.mean > 50


def test_a_single_rollout_is_refused():
    with pytest.raises(ValueError, match="two rollouts at least, 2,048 steps"):
        OnlineScore("NDCartPole1D-v0", 1024).score(NETWORK, [0])
    with pytest.raises(ValueError, match="positive rate"):
        OnlineScore("NDCartPole1D-v0", 4096, learning_rate=-1)


def test_bad_numbers_are_named():
    for name in ("n_timesteps", "n_envs", "n_episodes"):
        with pytest.raises(ValueError, match=f"`{name}`"):
            OnlineScore("CartPole-v1", **{"n_timesteps": 10, name: 0})


@pytest.mark.parametrize("name", list(PROXIES))
@pytest.mark.parametrize("norm", [False, True])
def test_proxies_are_finite_and_follow_the_seed(name, norm):
    observations = th.as_tensor(np.random.default_rng(0).normal(size=(32, 4)), dtype=th.float32)
    evaluator = ProxyScore(name, observations, spaces.Box(-1, 1, (4,)), spaces.Discrete(2))
    architecture = PolicyArchitecture((16, 16), "silu", norm)
    score = evaluator.score(architecture, [0, 1])
    assert np.isfinite(score.per_seed).all()
    assert evaluator.score(architecture, [1]).per_seed[0] == score.per_seed[1]
    assert (score.per_seed[0] == score.per_seed[1]) == (name == "parameters")


def test_the_number_of_parameters():
    evaluator = ProxyScore("parameters", th.zeros(1, 4), spaces.Box(-1, 1, (4,)), spaces.Discrete(2))
    assert evaluator.score(PolicyArchitecture((16, 16)), [0]).mean == 5 * 16 + 17 * 16 + 17 * 2
    with pytest.raises(ValueError, match="known are parameters"):
        ProxyScore("zico", th.zeros(1, 4), spaces.Box(-1, 1, (4,)), spaces.Discrete(2))
