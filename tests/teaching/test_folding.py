"""Normalisation as part of the first layer: policies then take raw observations, and give what they gave."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import OwnExtractor
from stable_baselines3.common.policies import ActorCriticCnnPolicy, ActorCriticPolicy, MultiInputActorCriticPolicy

from sb3_distill.dataset.normalization import Normalization
from sb3_distill.teaching import folding

SPACE, ACTIONS = spaces.Box(-100, 100, (5,)), spaces.Discrete(3)
RNG = np.random.default_rng(0)
MEAN, VAR = RNG.normal(size=5), RNG.uniform(0.5, 4, size=5)
SCALE = RNG.uniform(0.1, 2, size=5).astype(np.float32)


def policy_of(kind=ActorCriticPolicy, space=SPACE, **kwargs):
    return kind(space, ACTIONS, lambda _: 0.0, **kwargs)


@pytest.mark.parametrize("scale", [None, SCALE], ids=["plain", "weighted"])
@pytest.mark.parametrize("share", [True, False], ids=["shared", "separate"])
def test_actor_and_critic_take_raw_observations(share, scale):
    policy = policy_of(share_features_extractor=share)
    normalization = Normalization(MEAN, VAR, scale=scale)
    raw = RNG.normal(MEAN, 2, (50, 5)).astype(np.float32)
    normalized = th.as_tensor(normalization(raw)).float()
    actions, values = policy.get_distribution(normalized).distribution.logits, policy.predict_values(normalized)
    assert folding.can_fold(policy, normalization)
    folding.fold_into_first_layer(policy, normalization)
    th.testing.assert_close(policy.get_distribution(th.as_tensor(raw)).distribution.logits, actions, atol=1e-5, rtol=1e-4)
    th.testing.assert_close(policy.predict_values(th.as_tensor(raw)), values, atol=1e-4, rtol=1e-4)
    assert all(parameter.requires_grad for parameter in policy.parameters())


def test_clipping_is_lost():
    policy, normalization = policy_of(), Normalization(MEAN, VAR, clip=0.5)
    raw = (MEAN + 3 * np.sqrt(VAR)).astype(np.float32)[None]
    clipped = policy.predict_values(th.as_tensor(normalization(raw)))
    unclipped = policy.predict_values(th.as_tensor(Normalization(MEAN, VAR, clip=1e9)(raw)))
    folding.fold_into_first_layer(policy, normalization)
    folded = policy.predict_values(th.as_tensor(raw))
    th.testing.assert_close(folded, unclipped, atol=1e-5, rtol=1e-4)
    assert not th.allclose(folded, clipped, atol=1e-3)


def test_networks_that_cannot_be_folded():
    plain = Normalization(MEAN, VAR)
    assert not folding.can_fold(policy_of(features_extractor_class=OwnExtractor), plain)
    image = spaces.Box(0, 255, (1, 36, 36), np.uint8)
    assert not folding.can_fold(
        policy_of(ActorCriticCnnPolicy, image), Normalization(np.zeros(image.shape), np.ones(image.shape))
    )
    vectors = spaces.Dict(one=SPACE)
    policy = policy_of(MultiInputActorCriticPolicy, vectors)
    assert not folding.can_fold(policy, Normalization({"one": MEAN}, {"one": VAR}))
