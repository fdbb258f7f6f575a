"""An ensemble as an SB3 policy."""

import copy

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import random_dataset, simplex_dataset
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.sac.policies import SACPolicy

from sb3_distill import DistilledEnsemble, DistilledPolicy, evaluate_learners, make_vec_env
from sb3_distill.dagger import clone
from sb3_distill.dataset.normalization import Normalization
from sb3_distill.errors import ArgumentError, NotFiniteError, UnsupportedError

BOX = spaces.Box(-1, 1, (3,))
IMAGE = spaces.Box(0, 255, (1, 36, 36), np.uint8)
OBSERVATIONS = {
    "box": BOX,
    "discrete": spaces.Discrete(4),
    "image": IMAGE,
    "dict": spaces.Dict({"vector": BOX, "choice": spaces.Discrete(3)}),
}
ACTIONS = {
    "discrete": spaces.Discrete(3),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary(3),
    "box": spaces.Box(-0.5, 0.5, (2,)),
}
SHAPES = [{"width": [4, 8], "depth": [1, 3], "activation": ["tanh", "relu"], "layer_norm": 0.5}]
"""Members of several shapes."""


def batch_of(space, n):
    space.seed(1)
    samples = [space.sample() for _ in range(n)]
    if isinstance(space, spaces.Dict):
        return {key: np.stack([sample[key] for sample in samples]) for key in space.spaces}
    return np.stack(samples)


def one_of(batch):
    return {key: value[0] for key, value in batch.items()} if isinstance(batch, dict) else batch[0]


@pytest.mark.parametrize("observations", OBSERVATIONS)
@pytest.mark.parametrize("actions", ACTIONS)
def test_predict_takes_any_spaces(observations, actions):
    space = ACTIONS[actions]
    ensemble = DistilledEnsemble.from_dataset(random_dataset(OBSERVATIONS[observations], space), 3, device="cpu")
    batch = batch_of(OBSERVATIONS[observations], 4)
    for deterministic in (True, False):
        many, state = ensemble.predict(batch, deterministic=deterministic)
        assert state is None
        assert len(many) == 4
        assert all(space.contains(action) for action in many.astype(space.dtype))
    alone, _ = ensemble.predict(one_of(batch), deterministic=True)
    np.testing.assert_allclose(alone, ensemble.predict(batch, deterministic=True)[0][0], rtol=1e-5)
    figures = ensemble.uncertainty(batch)
    assert set(figures) == ({"variance_ratio"} if actions == "box" else {"disagreement", "mutual_information"})
    assert all(value.shape == (4,) and (value >= 0).all() for value in figures.values())
    assert all(value.shape == () for value in ensemble.uncertainty(one_of(batch)).values())


@pytest.mark.parametrize("actions", ACTIONS)
def test_an_ensemble_of_one_acts_as_its_member_and_the_seed_decides(actions):
    dataset = random_dataset(BOX, ACTIONS[actions])
    batch = batch_of(BOX, 20)
    ensemble, same, other = (DistilledEnsemble.from_dataset(dataset, 1, seed=seed, device="cpu") for seed in (0, 0, 1))
    seen = [one._see(th.as_tensor(batch))[0] for one in (ensemble, same, other)]
    assert (seen[0] == seen[1]).all()
    assert (seen[0] != seen[2]).any()
    expected = ensemble.member(0).predict(batch, deterministic=True)[0]
    np.testing.assert_allclose(ensemble.predict(batch, deterministic=True)[0], expected, rtol=1e-4, atol=1e-5)
    assert all((value == 0).all() for name, value in ensemble.uncertainty(batch).items() if name != "mutual_information")


def test_members_are_the_learners_of_evaluate_learners_and_play_as_they_do():
    dataset = simplex_dataset(2, 10.0)
    ensemble = DistilledEnsemble.from_dataset(dataset, 3, seed=5, device="cpu")
    env = make_vec_env("NDCartPole2D-v0", 4, seed=0)
    returns = [evaluate_policy(ensemble.member(i), env, 4, deterministic=True)[0] for i in range(3)]
    expected = evaluate_learners(dataset, 3, 4, True, seed=5).learner_means
    assert np.argmin(returns) == np.argmin(expected) or np.ptp(expected) < 100
    assert evaluate_policy(ensemble, env, 4, deterministic=True)[0] > 400


def test_members_of_several_shapes_become_policies_that_act_as_they_do():
    dataset = random_dataset(BOX, spaces.Discrete(3))
    ensemble = DistilledEnsemble.from_dataset(dataset, 8, learner_distribution=SHAPES, seed=1, device="cpu")
    assert len(ensemble.members.groups) > 2
    batch = batch_of(BOX, 30)
    outputs, _ = ensemble._see(th.as_tensor(batch))
    for i in range(8):
        member = ensemble.member(i)
        assert isinstance(member, DistilledPolicy)
        assert (member.predict(batch, deterministic=True)[0] == outputs[i].argmax(-1).numpy()).mean() > 0.95
    probs = outputs.softmax(-1).mean(0).argmax(-1).numpy()
    assert (ensemble.predict(batch, deterministic=True)[0] == probs).all()


def test_normalisation_of_the_set_is_applied():
    statistics = Normalization(np.full(3, 0.5), np.full(3, 4.0), clip=10.0, epsilon=0.0)
    dataset = random_dataset(BOX, spaces.Box(-9, 9, (2,)))
    plain = DistilledEnsemble.from_dataset(dataset, 3, device="cpu")
    dataset.set_normalization(statistics)
    normalised = DistilledEnsemble.from_dataset(dataset, 3, device="cpu")
    raw = batch_of(BOX, 5)
    seen = ((raw - 0.5) / 2).astype(np.float32)
    np.testing.assert_allclose(
        normalised.predict(raw, deterministic=True)[0], plain.predict(seen, deterministic=True)[0], 1e-4
    )
    np.testing.assert_allclose(
        normalised.member(1).predict(raw, deterministic=True)[0], plain.member(1).predict(seen, deterministic=True)[0], 1e-4
    )


def test_an_ensemble_is_copied_and_moved_whole():
    ensemble = DistilledEnsemble.from_dataset(random_dataset(BOX, spaces.Discrete(3)), 3, device="cpu")
    batch = batch_of(BOX, 10)
    expected = ensemble.predict(batch, deterministic=True)[0]
    again = copy.deepcopy(ensemble).to("cpu")
    assert isinstance(again, BasePolicy)
    assert (again.predict(batch, deterministic=True)[0] == expected).all()
    with th.no_grad():
        for value in again.stack.parameters():
            value.zero_()
    assert (ensemble.predict(batch, deterministic=True)[0] == expected).all()


def test_the_best_members_are_selected():
    mixture = [{"init": "orthogonal"}, {"init": "orthogonal", "last_gain": 30.0}]
    ensemble = DistilledEnsemble.from_dataset(
        simplex_dataset(2, 10.0), 8, learner_distribution=mixture, combine="vote", device="cpu"
    )
    best = ensemble.select(2, n_episodes=4)
    assert best.n_members == 2
    assert best.combine == "vote"
    assert best.members.n_learners == 2
    assert set(best.indices) < set(ensemble.indices)
    env = make_vec_env("NDCartPole2D-v0", 8, seed=3)
    assert evaluate_policy(best, env, 8, deterministic=True)[0] > 450
    outputs, _ = best._see(th.zeros(1, 8))
    wanted, _ = ensemble._see(th.zeros(1, 8))
    np.testing.assert_allclose(outputs, wanted[best.indices], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_an_ensemble_is_distilled_into_a_set():
    ensemble = DistilledEnsemble.from_dataset("NDCartPole1D-v0", 3, device="cpu")
    dataset = clone(ensemble, "NDCartPole1D-v0", total_timesteps=4_000, n_envs=8, n_steps=64, n_instances=4).dataset
    assert evaluate_learners(dataset, 10, 10, True).mean > 150  # untaught: 20


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(n_members=0), "`n_members` must be a whole number from 1, got 0"),
        (dict(n_members=2.5), "`n_members` must be a whole number from 1, got 2.5"),
        (dict(seed="x"), "`seed` must be None or a whole number"),
        (dict(device="toaster"), "`device` must be cpu, cuda, auto"),
        (dict(policy="MlpPolicy", policy_kwargs=3), "`policy_kwargs` must be a dict"),
        (dict(combine="mean"), "the rule 'mean' does not fit actions of Discrete.*those that fit are logits"),
        (dict(combine="average"), "unknown rule 'average' in `combine`; known are auto, logits"),
        (dict(learner_distribution="nobody"), "unknown `learner_distribution`"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        DistilledEnsemble.from_dataset(random_dataset(BOX, spaces.Discrete(3)), **{"n_members": 2, **arguments})


def test_rules_of_choices_do_not_fit_numbers():
    with pytest.raises(ArgumentError, match="the rule 'vote' does not fit actions of Box.*those that fit are mean, median"):
        DistilledEnsemble.from_dataset(random_dataset(BOX, spaces.Box(-1, 1, (2,))), 2, combine="vote")


def test_networks_that_are_there_and_policies_that_squash_are_refused():
    dataset = random_dataset(BOX, spaces.Box(-1, 1, (2,)))
    with pytest.raises(ArgumentError, match="members are drawn afresh.*pass its class"):
        DistilledEnsemble.from_dataset(dataset, 2, policy=DistilledPolicy.from_dataset(dataset))
    with pytest.raises(UnsupportedError, match="the policy SACPolicy squashes its actions by a tanh, other than the set"):
        DistilledEnsemble.from_dataset(dataset, 2, policy=SACPolicy)


def test_members_that_are_not_there_and_other_observations_are_refused():
    ensemble = DistilledEnsemble.from_dataset(simplex_dataset(2, 10.0), 3)
    with pytest.raises(ArgumentError, match="`n` must be a whole number from 1 to 3, the number of members, got 4"):
        ensemble.select(4)
    with pytest.raises(ArgumentError, match="`n_episodes` must be a whole number from 1, got 0"):
        ensemble.select(2, n_episodes=0)
    for wrong in (3, 1.5, "0", None, True):
        with pytest.raises(ArgumentError, match=f"`i` must be a whole number from 0 to 2, got {wrong!r}"):
            ensemble.member(wrong)
    for chosen in ([2, 1], [0.5], ["a"], 1, []):
        with pytest.raises(ArgumentError, match="`chosen` must be different indices from 0 to 2 in order"):
            ensemble.take(chosen)
    assert ensemble.take(np.array([0, 2])).indices == [0, 2]
    with pytest.raises(ArgumentError, match=r"the observation has shape \(5,\), the dataset was made for"):
        ensemble.predict(np.zeros(5))
    with pytest.raises(ArgumentError, match=r"the observation has shape \(5,\), the dataset was made for"):
        ensemble.uncertainty(np.zeros(5))


def test_observations_that_are_not_finite_are_named():
    ensemble = DistilledEnsemble.from_dataset(simplex_dataset(2, 10.0), 3, device="cpu")
    bad = np.zeros((2, 8), np.float32)
    bad[1, 3] = np.nan
    for act in (ensemble.uncertainty, ensemble.predict, ensemble.member(0).predict):
        with pytest.raises(NotFiniteError, match="the observation has NaN in it"):
            act(bad)
    bad[1, 3:5] = np.inf
    with th.no_grad():
        next(value for value in ensemble.stack.parameters() if value.dim() == 3)[:, :, 3] = 0.0
    with pytest.raises(NotFiniteError, match="members return NaN or infinite numbers for this observation"):
        ensemble.uncertainty(bad)
    both = spaces.Dict({"vector": BOX, "choice": spaces.Discrete(3)})
    ensemble = DistilledEnsemble.from_dataset(random_dataset(both, spaces.Discrete(3)), 2, device="cpu")
    with pytest.raises(NotFiniteError, match="the observation 'vector' has NaN in it"):
        ensemble.uncertainty({"vector": np.full(3, np.nan), "choice": 1})


def test_without_a_seed_one_is_drawn_and_kept(tmp_path):
    dataset = random_dataset(BOX, spaces.Discrete(3))
    dataset.save(tmp_path / "set.safetensors")
    th.manual_seed(0)
    one, other = (DistilledEnsemble.from_dataset(tmp_path / "set.safetensors", 2, seed=None, device="cpu") for _ in range(2))
    assert one.drawing.seed != other.drawing.seed
    one.save(tmp_path / "ensemble.safetensors")
    again = DistilledEnsemble.load(tmp_path / "ensemble.safetensors", device="cpu")
    assert again.drawing.seed == one.drawing.seed
    assert (again._see(th.ones(2, 3))[0] == one._see(th.ones(2, 3))[0]).all()


def test_members_share_the_encoder_of_a_set():
    ensemble = DistilledEnsemble.from_dataset("MsPacmanNoFrameskip-v4/l3", 2, device="cpu")
    images = np.random.default_rng(0).integers(0, 255, (2, 84, 84, 4), dtype=np.uint8)
    observations, _ = ensemble.obs_to_tensor(images)
    with th.no_grad():
        outputs, _ = ensemble._see(observations)
        logits = ensemble.member(1).get_distribution(observations).distribution.logits
    np.testing.assert_allclose(outputs[1].log_softmax(-1), logits, atol=1e-5)
    assert ensemble.predict(images)[0].shape == (2,)
