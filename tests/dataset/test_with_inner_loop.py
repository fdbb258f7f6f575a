"""A set taught by another inner loop than the one that it was made for."""

import pytest
import torch as th

from sb3_distill import DistilledPolicy, SyntheticDataset, evaluate_learners
from sb3_distill.inner_loop import GradientSteps, RidgeHead
from sb3_distill.inner_loop.carry import STRENGTH, STRENGTH_OF_BOX, Carry


def test_what_both_loops_learn_is_kept_and_the_rest_starts_by_the_kind_of_action():
    ridge = SyntheticDataset.load("NDCartPole2D-v0/wide")
    carry = ridge.with_inner_loop("carry")
    assert th.equal(carry.learned["log_ridge"], ridge.learned["log_ridge"])
    assert carry.inner_loop.rates(carry.learned)["carry_strength"] == pytest.approx(STRENGTH)
    box = SyntheticDataset.load("Pendulum-v1").with_inner_loop("carry")
    assert box.inner_loop.rates(box.learned)["carry_strength"] == pytest.approx(STRENGTH_OF_BOX)


def test_the_set_itself_stays_as_it_is():
    ridge = SyntheticDataset.load("Pendulum-v1")
    before = {name: value.clone() for name, value in ridge.state_dict().items()}
    carry = ridge.with_inner_loop(Carry(strength=2.0))
    with th.no_grad():
        carry.labels.add_(1.0)
    assert carry.info.inner_loop == {"name": "carry"}
    assert ridge.info.inner_loop["name"] != "carry"
    assert before.keys() == ridge.state_dict().keys()
    assert all(th.equal(value, ridge.state_dict()[name]) for name, value in before.items())
    if ridge.info.normalization is not None:
        assert carry.info.normalization is not ridge.info.normalization


def test_learned_numbers_are_put_within_the_bounds_of_the_new_loop():
    dataset = SyntheticDataset.load("NDCartPole1D-v0/wide")
    with th.no_grad():
        dataset.learned["log_ridge"].fill_(-11.0)
    lowest, _ = Carry().bounds()["log_ridge"]
    assert float(dataset.with_inner_loop("carry").learned["log_ridge"].detach()) == pytest.approx(lowest)


def test_it_is_saved_and_loaded(tmp_path):
    SyntheticDataset.load("NDCartPole1D-v0/wide").with_inner_loop("carry").save(tmp_path / "a.safetensors")
    assert isinstance(SyntheticDataset.load(tmp_path / "a.safetensors").inner_loop, Carry)


def test_policies_and_evaluations_take_another_loop_by_name_or_as_an_object():
    for loop, kind in (("ridge", RidgeHead), (GradientSteps(2, 0.1), GradientSteps)):
        policy = DistilledPolicy.from_dataset("NDCartPole1D-v0/wide", seed=0, inner_loop=loop)
        assert isinstance(policy.dataset.inner_loop, kind)
    evaluation = evaluate_learners("NDCartPole1D-v0/wide", 2, 1, inner_loop="carry")
    assert evaluation.inner_loop == {"name": "carry"}
    grid = evaluate_learners("NDCartPole1D-v0/wide", 2, 1, inner_loop="carry", grid={"one": {"width": 16}})
    assert grid["one"].inner_loop == {"name": "carry"}


def test_an_unknown_loop_is_named():
    with pytest.raises(ValueError, match="unknown `inner_loop` 'cary'; known are sgd, ridge, carry"):
        SyntheticDataset.load("NDCartPole1D-v0/wide").with_inner_loop("cary")


def test_narrow_deep_networks_learn_by_carry_what_a_ridge_head_cannot_teach_them():
    cell = {"width": 24, "depth": 8, "activation": "relu", "init": "orthogonal", "last_gain": 0.01}
    means = {loop: evaluate_learners("NDCartPole3D-v0/wide", 4, 2, learner_distribution=cell, inner_loop=loop).mean
             for loop in ("ridge", "carry")}  # fmt: skip
    assert means["carry"] > 480 > 300 > means["ridge"]
