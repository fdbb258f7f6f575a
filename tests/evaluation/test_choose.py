"""A strength of carry that is chosen by episodes."""

import pytest

from sb3_distill import SyntheticDataset
from sb3_distill.evaluation.choose import choose_carry_strength


def strength_of(dataset):
    return dataset.inner_loop.rates(dataset.learned)["carry_strength"]


def test_the_strength_with_the_highest_mean_is_kept():
    narrow = {"width": 24, "depth": 8, "activation": "relu", "init": "orthogonal"}
    dataset, tried = choose_carry_strength(
        "NDCartPole3D-v0/wide", (0.01, 3.0), 4, 1, deterministic=False, learner_distribution=narrow
    )
    assert tried[3.0].mean > 450 > 300 > tried[0.01].mean
    assert dataset.inner_loop.name == "carry"
    assert strength_of(dataset) == pytest.approx(3.0)


def test_a_set_that_has_a_strength_gets_another():
    carry = SyntheticDataset.load("NDCartPole1D-v0/wide").with_inner_loop("carry")
    dataset, _ = choose_carry_strength(carry, [0.5], 2, 1)
    assert strength_of(dataset) == pytest.approx(0.5)
    assert strength_of(carry) == pytest.approx(3.0)


def test_there_must_be_something_to_choose_from():
    with pytest.raises(ValueError, match="`strengths` must have at least one"):
        choose_carry_strength("NDCartPole1D-v0/wide", ())
    with pytest.raises(ValueError, match="must be positive and finite, got -1"):
        choose_carry_strength("NDCartPole1D-v0/wide", (-1.0,))
