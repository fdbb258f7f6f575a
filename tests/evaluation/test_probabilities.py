"""Figures of predicted probabilities."""

import math

import pytest
import torch as th

from sb3_distill.evaluation import probabilities as figures

PROBS = th.tensor([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4], [0.5, 0.25, 0.25]], dtype=th.float64)
TARGETS = th.tensor([0, 1, 0, 0])


def test_figures_are_those_of_the_definitions():
    result = figures.scores(PROBS, TARGETS)
    assert result["accuracy"] == 0.75
    assert result["nll"] == pytest.approx(-(math.log(0.9) + math.log(0.7) + math.log(0.3) + math.log(0.5)) / 4)
    assert result["brier"] == pytest.approx((0.02 + 0.14 + 0.74 + 0.375) / 4)
    assert result["ece"] == pytest.approx((0.1 + 0.3 + 0.4 + 0.5) / 4)  # each example has a bin


def test_examples_of_one_bin_make_up_for_each_other():
    probs = th.tensor([[0.75, 0.25]] * 4)
    assert float(figures.calibration_error(probs, th.tensor([0, 0, 0, 1]))) == pytest.approx(0)
    assert float(figures.calibration_error(probs, th.tensor([0, 0, 0, 0]))) == pytest.approx(0.25)


def test_certainty_is_in_the_last_bin_and_a_wrong_one_costs_a_finite_loss():
    probs = th.tensor([[1.0, 0.0]])
    assert float(figures.calibration_error(probs, th.tensor([1]))) == 1
    assert math.isfinite(float(figures.negative_log_likelihood(probs, th.tensor([1]))))


def test_predictions_are_compared():
    others = PROBS.flip(1)
    same = figures.scores(PROBS, TARGETS, PROBS)
    assert same["agreement"] == 1
    assert same["total_variation"] == 0
    assert float(figures.total_variation(PROBS, others)) == pytest.approx((0.9 + 0.1 + 0.1 + 0.25) / 4)
    assert float(figures.agreement(PROBS, others)) == 0.25
