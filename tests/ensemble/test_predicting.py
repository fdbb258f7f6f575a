"""Ensembles of learners that were taught labelled examples."""

import copy

import numpy as np
import pytest
import torch as th
from helpers import simplex_dataset
from torch import nn

from sb3_distill import SupervisedDistillation, SupervisedEnsemble, evaluate_supervised, teach_module
from sb3_distill.errors import ArgumentError, DatasetError, NotFiniteError


def small():
    return nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 4))


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    targets = rng.integers(4, size=400)
    return 2 * rng.standard_normal((4, 3))[targets] + rng.standard_normal((400, 3)), targets


@pytest.fixture(scope="module")
def dataset(examples):
    return SupervisedDistillation(examples, small, seed=0).learn(60).dataset


@pytest.mark.parametrize("combine", ["probs", "logits"])
def test_modules_predict_together(dataset, examples, combine):
    inputs, targets = examples
    ensemble = SupervisedEnsemble.from_dataset(dataset, 7, small, combine=combine, seed=2)
    probs, figures = ensemble.predict_proba(inputs), ensemble.evaluate(examples)
    assert probs.shape == (400, 4)
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    assert (ensemble.predict(inputs) == probs.argmax(axis=1)).all()
    assert figures["accuracy"] == pytest.approx((probs.argmax(axis=1) == targets).mean())
    assert figures["nll"] == pytest.approx(-np.log(probs[np.arange(400), targets]).mean())
    assert 0 <= figures["ece"] <= 1
    assert figures["brier"] == pytest.approx(((probs - np.eye(4)[targets]) ** 2).sum(axis=1).mean())
    alone = evaluate_supervised(dataset, examples, 7, module=small, seed=2)
    if combine == "probs":
        assert (figures["accuracy"], figures["nll"]) == pytest.approx((alone.ensemble_score, alone.ensemble_loss))
    assert figures["nll"] < alone.losses.mean()
    assert "members=7" in repr(ensemble)


def test_one_member_predicts_as_a_module_that_was_taught(dataset, examples):
    inputs, _ = examples
    th.manual_seed(0)
    module = small()
    ensemble = SupervisedEnsemble.from_dataset(dataset, 1, lambda: copy.deepcopy(module))
    taught = teach_module(module, dataset)
    seen = th.as_tensor(np.asarray(dataset.info.normalization(inputs.astype(np.float32))))
    with th.no_grad():
        expected = taught(seen).softmax(dim=1).numpy()
    np.testing.assert_allclose(ensemble.predict_proba(inputs), expected, rtol=1e-3, atol=1e-5)


def test_numbers_are_averaged_in_their_units(examples):
    inputs, _ = examples
    targets = 1000 + 100 * inputs[:, :2]
    dataset = SupervisedDistillation((inputs, targets), inner_loop="ridge", seed=0).learn(100).dataset
    ensemble = SupervisedEnsemble.from_dataset(dataset, 5)
    figures, alone = ensemble.evaluate((inputs, targets)), evaluate_supervised(dataset, (inputs, targets), 5)
    assert figures == pytest.approx({"r2": alone.ensemble_score, "mse": alone.ensemble_loss})
    assert figures["r2"] > 0.8
    assert ensemble.predict(inputs).shape == (400, 2)
    with pytest.raises(ArgumentError, match="the dataset predicts numbers, which have no probabilities"):
        ensemble.predict_proba(inputs)


def test_the_seed_decides_and_is_kept(dataset, examples):
    inputs, _ = examples
    drawn = SupervisedEnsemble.from_dataset(dataset, 2, small, seed=None)
    again, other = (SupervisedEnsemble.from_dataset(dataset, 2, small, seed=seed) for seed in (drawn.seed, 0))
    assert (drawn.predict_proba(inputs) == again.predict_proba(inputs)).all()
    assert (drawn.predict_proba(inputs) != other.predict_proba(inputs)).any()


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (dict(n_members=0), ArgumentError, "`n_members` must be a whole number from 1, got 0"),
        (dict(combine="vote"), ArgumentError, "`combine` must be"),
        (dict(combine=None), ArgumentError, "`combine` must be 'probs' or 'logits', got None"),
        (dict(module=None), DatasetError, "pass it as `module`"),
        (dict(dataset=simplex_dataset(2, 10.0)), ArgumentError, "was not made of labelled examples: DistilledEnsemble"),
        (dict(module=lambda: nn.Linear(3, 7)), ArgumentError, "has 7 outputs"),
    ],
)
def test_what_does_not_fit_is_refused(dataset, arguments, error, message):
    with pytest.raises(error, match=message):
        SupervisedEnsemble.from_dataset(**{"dataset": dataset, "module": small, **arguments})


def test_inputs_that_do_not_fit_are_refused(dataset):
    ensemble = SupervisedEnsemble.from_dataset(dataset, 2, small)
    with pytest.raises(ArgumentError, match=r"inputs of the shape \(3,\), the data have \(2,\)"):
        ensemble.predict(np.zeros((5, 2)))
    with pytest.raises(ArgumentError, match="inputs must be"):
        ensemble.predict(np.zeros(3))
    with pytest.raises(NotFiniteError, match="inputs that are NaN"):
        ensemble.predict_proba(np.full((1, 3), np.nan))
    with pytest.raises(ArgumentError, match="predict classes, the targets of the data are numbers|whole numbers"):
        ensemble.evaluate((np.zeros((5, 3)), np.full(5, 0.5)))
