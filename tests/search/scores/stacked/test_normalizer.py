"""Statistics of a stack are those of a ``VecNormalize`` for each policy."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import ReachEnv
from stable_baselines3.common.vec_env import VecNormalize

from sb3_distill import make_vec_env
from sb3_distill.errors import ArgumentError
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.scores.networks import template
from sb3_distill.search.scores.stacked.normalizer import StackedNormalizer
from sb3_distill.search.scores.stacked.ppo import PPOSettings, StackedPPO
from sb3_distill.search.scores.stacked.rollout import Stage


def test_a_stage_normalises_as_sb3_does():
    env = make_vec_env(ReachEnv, 4, seed=0)
    normalizer = StackedNormalizer(2, env.observation_space, 2, 0.99)
    stage = Stage(env, normalizer)
    ppo = StackedPPO(template(PolicyArchitecture((8,)), env.observation_space, env.action_space), [0, 1], PPOSettings(), 1e-3)
    played = stage.play(ppo.actors, ppo.actors.noise(23, 2, [th.Generator().manual_seed(i) for i in range(2)]))
    each = [VecNormalize(make_vec_env(ReachEnv, 2, seed=seed)) for seed in (0, 2)]  # environment i has seed i
    shown = [one.reset() for one in each]
    n_cut = 0
    for t in range(23):
        np.testing.assert_allclose(played.observations[t], np.concatenate(shown), rtol=1e-5, atol=1e-6)
        for i, one in enumerate(each):
            shown[i], rewards, _, infos = one.step(np.clip(played.actions[t, 2 * i : 2 * i + 2], -1, 1))
            np.testing.assert_allclose(played.rewards[t, 2 * i : 2 * i + 2], rewards, rtol=1e-5)
            for j, info in enumerate(infos):
                if "terminal_observation" in info:
                    step, index, last = played.cut[n_cut]
                    assert (step, index) == (t, 2 * i + j)
                    np.testing.assert_allclose(last, info["terminal_observation"], rtol=1e-5, atol=1e-6)
                    n_cut += 1
    assert n_cut == len(played.cut) == 8
    for i, one in enumerate(each):
        np.testing.assert_allclose(normalizer.observations.mean[i], one.obs_rms.mean)
        np.testing.assert_allclose(normalizer.returns.var[i], one.ret_rms.var)
    raw = np.random.default_rng(0).normal(size=(2, 2)).astype(np.float32)
    expected = [one.normalize_obs(raw[i]) for i, one in enumerate(each)]
    np.testing.assert_allclose(normalizer(raw), expected, rtol=1e-5)


@pytest.mark.parametrize("space", [spaces.Discrete(3), spaces.Box(0, 255, (1, 36, 36), np.uint8)])
def test_observations_that_have_no_mean(space):
    with pytest.raises(ArgumentError, match="`normalize` needs observations that are an array of real numbers, got"):
        StackedNormalizer(1, space, 2, 0.99)
