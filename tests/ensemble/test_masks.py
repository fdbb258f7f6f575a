"""Ensembles where not all actions are allowed."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import random_dataset
from locked import KINDS, Locks, WithoutMasks, dataset_of
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_distill import DistilledEnsemble, DistilledPolicy, evaluate_ensemble, record
from sb3_distill.dagger.expert import Expert
from sb3_distill.dagger.masks import are_allowed
from sb3_distill.ensemble.rules import OF_CHOICES
from sb3_distill.errors import ArgumentError
from sb3_distill.spaces.sizes import class_sizes, n_classes

BOX = spaces.Box(-1, 1, (3,))


def some_masks(space, n, seed=0):
    """At least one value of each choice is allowed."""
    rng = np.random.default_rng(seed)
    masks = rng.random((n, n_classes(space))) < 0.4
    first = np.cumsum(class_sizes(space)) - class_sizes(space)
    for start, size in zip(first, class_sizes(space), strict=True):
        masks[np.arange(n), start + rng.integers(size, size=n)] = True
    return masks


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("rule", OF_CHOICES)
@pytest.mark.parametrize("actions", KINDS.values(), ids=KINDS)
def test_only_allowed_actions_are_predicted(actions, rule, deterministic):
    ensemble = DistilledEnsemble.from_dataset(random_dataset(BOX, actions), 4, combine=rule, device="cpu")
    observations = np.random.default_rng(0).standard_normal((300, 3)).astype(np.float32)
    masks = some_masks(actions, 300)
    th.manual_seed(0)
    chosen, state = ensemble.predict(observations, deterministic=deterministic, action_masks=masks)
    assert state is None
    assert are_allowed(chosen, masks, actions).all()
    assert not are_allowed(ensemble.predict(observations, deterministic=deterministic)[0], masks, actions).all()
    everything = ensemble.predict(observations, deterministic=True, action_masks=np.ones_like(masks))[0]
    assert (everything == ensemble.predict(observations, deterministic=True)[0]).all()


@pytest.mark.parametrize("actions", KINDS.values(), ids=KINDS)
def test_one_observation_has_one_mask(actions):
    ensemble = DistilledEnsemble.from_dataset(random_dataset(BOX, actions), 2, device="cpu")
    mask = some_masks(actions, 1)[0]
    chosen, _ = ensemble.predict(np.zeros(3), action_masks=mask)
    assert chosen.shape == actions.shape
    assert are_allowed(chosen[None], mask[None], actions)[0]


def test_an_ensemble_chooses_among_what_is_allowed_as_its_member_does():
    """The policy of MaskablePPO that is taught the same."""
    pytest.importorskip("sb3_contrib")
    from sb3_contrib import MaskablePPO

    space = KINDS["Discrete"]
    dataset = random_dataset(BOX, space)
    maskable = MaskablePPO.policy_aliases["MlpPolicy"]
    ensemble = DistilledEnsemble.from_dataset(dataset, 1, policy=maskable, seed=3, device="cpu")
    observations = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    masks = some_masks(space, 50)
    mine, members = (
        one.predict(observations, deterministic=True, action_masks=masks)[0] for one in (ensemble, ensemble.member(0))
    )
    assert (mine == members).all()


def test_masks_that_do_not_fit_are_refused():
    ensemble = DistilledEnsemble.from_dataset(random_dataset(BOX, spaces.Discrete(4)), 2, device="cpu")
    with pytest.raises(
        ArgumentError, match=r"`action_masks` must have 4 entries for each of 2 observations, got the shape \(2, 3\)"
    ):
        ensemble.predict(np.zeros((2, 3)), action_masks=np.ones((2, 3)))
    ensemble = DistilledEnsemble.from_dataset(random_dataset(BOX, spaces.Box(-1, 1, (2,))), 2, device="cpu")
    with pytest.raises(ArgumentError, match="`action_masks` are for actions that are choices, not for Box"):
        ensemble.predict(np.zeros(3), action_masks=np.ones(2))
    assert not ensemble.takes_masks


@pytest.mark.parametrize("actions", KINDS.values(), ids=KINDS)
def test_evaluations_ask_the_environment(actions):
    """Any action that is not allowed is an error of the environment."""
    dataset = dataset_of(actions)
    result = evaluate_ensemble(dataset, 3, [1, 2, 3], ["probs", "vote-sampled"], 2, 2, 1, env=lambda: Locks(actions))
    assert all((returns == 6).all() for kind in (result.selection, result.best, result.ensembles) for returns in kind.values())
    assert DistilledEnsemble.from_dataset(dataset, 3).select(2, lambda: Locks(actions), 2).n_members == 2


def test_an_ensemble_is_recorded_with_and_without_masks():
    dataset = dataset_of(KINDS["Discrete"])
    ensemble = DistilledEnsemble.from_dataset(dataset, 2, device="cpu")
    assert (record(ensemble, Locks, n_episodes=3, n_envs=2).returns() == 6).all()
    assert (record(ensemble, WithoutMasks, n_episodes=3, n_envs=2).returns() == 6).all()


def test_a_taught_policy_plays_without_masks():
    """Its ``predict`` has the argument, and that of the class behind it has not."""
    policy = DistilledPolicy.from_dataset(dataset_of(KINDS["Discrete"]), seed=0, device="cpu")
    assert not Expert(policy).takes_masks
    assert (record(policy, WithoutMasks, n_episodes=3, n_envs=2).returns() == 6).all()


def test_sb3_contrib_evaluates_an_ensemble():
    pytest.importorskip("sb3_contrib")
    from sb3_contrib.common.maskable.evaluation import evaluate_policy

    ensemble = DistilledEnsemble.from_dataset(dataset_of(KINDS["Discrete"]), 2, device="cpu")
    assert evaluate_policy(ensemble, DummyVecEnv([Locks] * 2), 4, warn=False) == (6, 0)
