"""Running statistics inside a model, against those of SB3's VecNormalize."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from contract import BOX, N_ENVS, make, spaces_env
from gymnasium import spaces
from helpers import FaultyEnv
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_distill import PPMO
from sb3_distill.dataset.normalization import Normalization
from sb3_distill.online.normalizing.normalizer import Normalizer


def test_it_computes_what_vec_normalize_computes():
    wrapped, raw = VecNormalize(spaces_env(), gamma=0.9), spaces_env()
    normalizer = Normalizer(BOX, rewards=True)
    normalizer.gamma = 0.9
    for env in (wrapped, raw):
        env.seed(0)
    wanted, first = wrapped.reset(), raw.reset()
    normalizer.start(first)
    np.testing.assert_array_equal(normalizer(first), wanted)
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = rng.integers(3, size=N_ENVS)
        wanted, wanted_rewards, _, wanted_infos = wrapped.step(actions)
        observations, rewards, dones, infos = raw.step(actions)
        shown, paid = normalizer.step(observations, rewards, dones)
        np.testing.assert_array_equal(shown, wanted)
        np.testing.assert_array_equal(paid, wanted_rewards)
        assert shown.dtype == paid.dtype == np.float32
        for info, wanted_info in zip(infos, wanted_infos, strict=True):
            if "terminal_observation" in info:
                last = normalizer(info["terminal_observation"])
                np.testing.assert_array_equal(last, wanted_info["terminal_observation"])
    np.testing.assert_array_equal(normalizer.normalization.mean, wrapped.obs_rms.mean)
    assert normalizer.return_variance == float(wrapped.ret_rms.var)


def test_what_is_off_is_returned_as_it_is():
    normalizer = Normalizer(None, rewards=False)
    observations, rewards = np.full((2, 3), 5.0), np.full(2, 7.0)
    normalizer.start(observations)
    assert not normalizer.is_on
    shown, paid = normalizer.step(observations, rewards, np.array([False, True]))
    assert shown is observations
    assert paid is rewards
    assert normalizer.normalization is normalizer.return_variance is None


def test_its_state_goes_on_to_the_last_bit():
    one, other = Normalizer(BOX, rewards=True), Normalizer(BOX, rewards=True)
    rng, dones = np.random.default_rng(0), np.array([False, True, False, False])

    def steps():
        return rng.normal(3, 2, (N_ENVS, 3)).astype(np.float32), rng.normal(5, 1, N_ENVS), dones

    one.start(steps()[0])
    one.step(*steps())
    other.load_state_dict({name: value.clone() for name, value in one.state_dict().items()})
    step = steps()
    for ours, theirs in zip(one.step(*step), other.step(*step), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert all(th.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_a_state_is_a_copy():
    normalizer = Normalizer(BOX, rewards=True)
    normalizer.start(np.ones((N_ENVS, 3)))
    state = normalizer.state_dict()
    before = {name: value.clone() for name, value in state.items()}
    normalizer.step(np.zeros((N_ENVS, 3)), np.ones(N_ENVS), np.ones(N_ENVS, dtype=bool))
    assert all(th.equal(value, before[name]) for name, value in state.items())


def test_stored_statistics_hardly_change_and_do_not_replace_what_was_seen():
    stored = Normalization(np.full(3, 4.0), np.full(3, 9.0), clip=3.0, epsilon=0.1)
    fresh, seen = Normalizer(BOX, rewards=True), Normalizer(BOX, rewards=True)
    for normalizer in (seen, fresh):
        normalizer.continue_from(stored, 25.0) if normalizer is fresh else normalizer.start(np.zeros((N_ENVS, 3)))
    fresh.step(np.zeros((N_ENVS, 3)), np.zeros(N_ENVS), np.zeros(N_ENVS, dtype=bool))
    assert fresh.normalization.mean == pytest.approx(4.0, abs=1e-3)
    assert (fresh.normalization.clip, fresh.normalization.epsilon) == (3.0, 0.1)
    assert fresh.return_variance == pytest.approx(25.0, abs=1e-2)
    seen.continue_from(stored, None)
    assert seen.normalization.mean == pytest.approx(0.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_do_not_spoil_the_statistics(value):
    normalizer = Normalizer(BOX, rewards=True)
    normalizer.start(np.ones((N_ENVS, 3)))
    before = normalizer.state_dict()
    bad = np.ones((N_ENVS, 3))
    bad[1, 2] = value
    shown, paid = normalizer.step(bad, np.array([0.0, value, 0.0, 0.0]), np.zeros(N_ENVS, dtype=bool))
    assert not np.isfinite(shown[1, 2])
    assert not np.isfinite(paid[1])
    assert all(th.equal(state, before[name]) for name, state in normalizer.state_dict().items())


@pytest.mark.parametrize("what", ["reward", "observation"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_named_with_its_environment(what, value):
    env = DummyVecEnv([lambda: FaultyEnv(1000, what)] * 3 + [lambda: FaultyEnv(20, what, value)])
    model = PPMO("MlpPolicy", env, normalize=True, n_steps=16, n_learners=2, seed=0)
    with pytest.raises(FloatingPointError, match=f"{what} is NaN or infinite at step (19|20) of environment 3"):
        model.learn(200)
    assert model.dataset.is_finite()
    assert np.isfinite(model.normalizer.normalization.mean).all()


class Odd(gym.Env):
    """Rewards and observations that statistics could stumble over."""

    action_space = spaces.Discrete(2)

    def __init__(self, reward, constant=3.0, length=10):
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,))
        self.reward, self.constant, self.length = reward, constant, length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.see(), {}

    def see(self):
        return np.array([self.constant, *self.np_random.normal(size=2)], dtype=np.float32)

    def step(self, action):
        self.steps += 1
        return self.see(), self.reward, self.steps == self.length, False, {}


@pytest.mark.parametrize("reward", [0.0, 1.0, 1e8, -1e8])
@pytest.mark.parametrize("constant", [0.0, 3.0, -1e6])
@pytest.mark.parametrize("length", [1, 10])
def test_odd_rewards_and_observations_stay_sane(reward, constant, length):
    env = DummyVecEnv([lambda: Odd(reward, constant, length)] * 2)
    env.seed(0)
    model = PPMO("MlpPolicy", env, normalize=True, n_steps=32, n_learners=2, seed=0).learn(64 * 8)
    assert model.dataset.is_finite()
    buffer = model.rollout_buffer
    for values in (buffer.observations, buffer.rewards, buffer.returns, buffer.advantages):
        assert np.isfinite(values).all()
        assert np.abs(values).max() < 2_000  # clipped at 10, times 1 / (1 - gamma) for returns
    assert np.abs(buffer.observations[..., 0]).max() < 0.2  # what never changes is the mean
    parameters = th.nn.utils.parameters_to_vector(model.policy.parameters())
    assert parameters.isfinite().all()
    raw = env.reset()
    inside = model.normalized_policy.get_distribution(th.as_tensor(model.normalizer(raw))).distribution.logits
    outside = model.policy.get_distribution(th.as_tensor(raw)).distribution.logits
    assert th.allclose(inside, outside, atol=0.02)


def test_a_run_shorter_than_a_rollout():
    model = make(normalize=True).learn(1)
    assert model.dataset.is_finite()
    assert model.predict(np.zeros(3, dtype=np.float32))[0] in range(3)
    untrained = make(normalize=True)
    assert untrained.dataset.info.normalization is None
    assert untrained.predict(np.zeros(3, dtype=np.float32))[0] in range(3)
