"""A run that has not learned says so at its end, once; a run that went well is silent."""

import math
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from helpers import small_env

from sb3_distill import PPMO
from sb3_distill.outer_loop.settings import Settings
from sb3_distill.ppmo.signs import MIN_ROLLOUTS, Signs, cures, gets_nowhere

PAIR, NUMBERS = Discrete(2), Box(-1, 1, (3,))


class Unmoved(gym.Env):
    """Rewards are drawn, whatever is done; episodes have 10 steps."""

    observation_space, action_space = NUMBERS, PAIR

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 10
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.left -= 1
        return np.zeros(3, np.float32), float(self.np_random.normal()), self.left == 0, False, {}


def episodes(returns, length=10):
    return [{"r": value, "l": length} for value in returns]


def run(first, last, explained=0.9, certainty=0.2, is_new=True, n=MIN_ROLLOUTS):
    """Signs of a run whose returns go from some to others."""
    signs = Signs(is_new)
    for i in range(n):
        progress = (i + 1) / n
        now = first if progress <= 0.1 else last
        signs.note(progress, episodes(now), explained, (1 - certainty) * math.log(2), PAIR)
    return signs.found(episodes(last))


NOISE = np.random.default_rng(0).normal(size=20)


def test_returns_that_have_risen_are_no_sign():
    assert run(NOISE, NOISE + 5) == []
    assert run(NOISE, NOISE + 5, explained=0.0, certainty=0.99) == []


def test_returns_that_have_not_risen_are_told_with_what_was_seen_early():
    (told,) = run(NOISE, NOISE + 0.01)
    assert told.startswith("returns are not above those of random actions (")
    assert len(run(NOISE, NOISE - 5)) == 1
    critic, sure = run(NOISE, NOISE, explained=-0.3)[1], run(NOISE, NOISE, certainty=0.99)[1]
    assert critic == "the critic had explained 0% of the returns after a fifth of the run"
    assert sure == "learners were certain of their actions before half of the run"


def test_most_episodes_that_stand_still_are_told():
    standing = [-200.0] * 9 + [-210.0]
    (told,) = run(NOISE * 50 - 700, standing)
    assert told == "most episodes go on to the time limit with the same return, -200: nothing is reached"
    assert gets_nowhere(episodes([500.0] * 10), 100) is None  # solved
    assert gets_nowhere([{"r": -float(n), "l": n} for n in range(100, 110)], 109) is None


def test_episodes_that_reach_a_goal_by_the_shortest_way_are_no_sign():
    shortest = [{"r": -13.0, "l": 13}] * 10
    assert gets_nowhere(shortest, longest=200) is None
    assert gets_nowhere(shortest, longest=13) == -13


def test_what_cannot_be_told_is_not_told():
    assert run(NOISE, NOISE, n=MIN_ROLLOUTS - 1) == []
    assert run(NOISE, NOISE, is_new=False) == []
    assert run(NOISE[:3], NOISE[:3]) == []  # too few episodes
    assert Signs(True).found([]) == []


def test_cures_fit_the_run():
    def advice(settings, ent_coef=0.01, rollout=1024, normalizes=True, states=NUMBERS, actions=PAIR):
        return cures(settings, ent_coef, rollout, normalizes, states, actions)

    sgd = Settings(n_instances=16)
    assert advice(sgd) == ['another inner loop (inner_loop="carry")', "more timesteps"]
    assert advice(Settings(n_instances=2, inner_loop="carry"), 0.0, normalizes=False)[:3] == [
        "normalize=None",
        "n_instances=16",
        "ent_coef=0.01",
    ]
    assert advice(sgd, states=Discrete(500))[0] == "rollouts of 8,000 transitions (n_steps * n_envs) with n_epochs=10"
    box = advice(Settings(n_instances=64), 0.0, actions=Box(-1, 1, (2,)))
    assert box == [
        'another inner loop (inner_loop="ridge", policy_kwargs=dict(activation_fn=torch.nn.ReLU))',
        "more timesteps",
    ]


def test_a_run_that_learns_nothing_warns_once_and_names_cures_and_page():
    model = PPMO("MlpPolicy", Unmoved(), n_steps=512, seed=0)
    with pytest.warns(UserWarning, match="may not have learned") as told:
        model.learn(512 * 40)
    (warning,) = [each for each in told if "may not have learned" in str(each.message)]
    assert 'inner_loop="carry"' in str(warning.message)
    assert "docs/does_not_learn.md" in str(warning.message)
    assert warning.filename == __file__


def test_a_run_that_learns_is_silent_and_so_is_one_that_goes_on():
    model = PPMO("MlpPolicy", small_env(8), n_steps=64, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.learn(64 * 8 * 40)
        PPMO("MlpPolicy", Unmoved(), n_steps=128, seed=0).learn(512)  # too short to tell


class Odd(Unmoved):
    """
    Rewards of any size, and an observation that never changes in one number.

    :param reward: paid for the action 1
    :param base: paid for any action
    """

    def __init__(self, reward, base=0.0):
        self.reward, self.base = reward, base

    def see(self):
        return np.array([self.left / 10, 0.7, -0.3], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.see(), {}

    def step(self, action):
        self.left -= 1
        return self.see(), self.base + self.reward * int(action), self.left == 0, False, {}


@pytest.mark.parametrize("reward, base", [(0.0, 0.0), (0.0, 5.0), (1e8, 0.0), (-1e8, 1e8), (1e-8, 0.0)])
def test_rewards_of_any_size_and_numbers_that_never_change_are_learned_from(reward, base):
    model = PPMO("MlpPolicy", Odd(reward, base), n_steps=256, seed=0).learn(256 * 12)
    assert all(bool(value.isfinite().all()) for value in model.dataset.state_dict().values())
    states = np.stack([[left / 10, 0.7, -0.3] for left in range(1, 11)]).astype(np.float32)
    actions = model.predict(states, deterministic=True)[0]
    if abs(reward) > 1:
        assert (actions == (reward > 0)).all()


def test_a_run_shorter_than_one_rollout_makes_one():
    model = PPMO("MlpPolicy", Odd(1.0), seed=0).learn(10)
    assert model.num_timesteps == model.dataset.info.timesteps == 1024
