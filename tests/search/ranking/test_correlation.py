"""Figures of one score: what SciPy gives, and what a reader takes them for."""

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from sb3_distill.errors import NotFiniteError
from sb3_distill.search.ranking import correlation


def truth_and_score(n=30, n_seeds=3, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=n)
    return quality[:, None] + 0.3 * rng.normal(size=(n, n_seeds)), quality + noise * rng.normal(size=n)


@pytest.mark.parametrize("digits", [None, 0], ids=["no ties", "ties"])
def test_correlations_are_those_of_scipy(digits):
    truth, score = truth_and_score()
    score = score if digits is None else score.round(digits)
    means = truth.mean(axis=1)
    assert correlation.tau_b(truth, score) == pytest.approx(stats.kendalltau(means, score).statistic, abs=1e-12)
    assert correlation.spearman(truth, score) == pytest.approx(stats.spearmanr(means, score).statistic, abs=1e-12)


def test_the_mean_over_seeds_counts_on_both_sides():
    truth, score = truth_and_score()
    score = score[:, None] + np.random.default_rng(1).normal(size=(30, 4))
    assert correlation.tau_b(truth, score) == correlation.tau_b(truth.mean(axis=1), score.mean(axis=1))


def test_a_constant_score_has_no_correlation():
    truth, _ = truth_and_score()
    assert math.isnan(correlation.tau_b(truth, np.ones(30)))
    assert math.isnan(correlation.spearman(truth, np.ones(30)))
    assert correlation.n_tied_pairs(np.ones(30)) == 30 * 29 // 2
    assert correlation.pick_return(truth, np.ones(30)) == pytest.approx(truth.mean())


def test_overlap_of_the_best():
    truth = np.arange(20.0)
    score = truth.copy()
    score[19], score[0] = 0.0, 19.0  # the best one is taken for the worst
    assert correlation.top_overlap(truth, truth, 5) == 1
    assert correlation.top_overlap(truth, score, 5) == pytest.approx(4 / 5)
    assert correlation.top_overlap(truth, -truth, 5) == 0
    assert correlation.top_overlap(truth, np.ones(20), 5) == pytest.approx(5 / 20)  # chance


def test_ties_share_the_places_of_the_top_fairly():
    rng = np.random.default_rng(0)
    truth, score = np.repeat(np.arange(5.0), 4), rng.integers(4, size=20).astype(float)
    broken = []
    for _ in range(4000):
        tops = [set(np.argsort(-values - 0.5 * rng.random(20))[:6]) for values in (truth, score)]
        broken.append(len(tops[0] & tops[1]) / 6)
    assert correlation.top_overlap(truth, score, 6) == pytest.approx(np.mean(broken), abs=0.01)


@pytest.mark.parametrize("k", [0, 31, 2.5])
def test_the_top_has_a_size(k):
    with pytest.raises(ValueError, match=r"`k` must be a whole number from 1 to 30, the number of architectures, got"):
        correlation.top_overlap(*truth_and_score(), k)


def test_regret_is_0_for_the_best_and_1_for_the_median():
    truth = np.array([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100.0])
    for pick, regret in ((10, 0.0), (5, 1.0), (0, 2.0), (9, 0.2)):
        score = np.zeros(11)
        score[pick] = 1
        assert correlation.regret(truth, score) == pytest.approx(regret)
        assert correlation.pick_return(truth, score) == truth[pick]
    score[[10, 0]] = 1  # three share the first place
    assert correlation.pick_return(truth, score) == pytest.approx((100 + 0 + 90) / 3)


def test_there_is_no_regret_where_half_are_best():
    truth = np.array([500.0] * 6 + [10.0] * 5)
    assert math.isnan(correlation.regret(truth, np.arange(11)))


def test_ties_are_counted_in_pairs():
    assert correlation.n_tied_pairs(np.array([1, 1, 1, 2, 2, 3.0])) == 3 + 1


@pytest.mark.parametrize(
    "figure",
    [
        correlation.tau_b,
        correlation.spearman,
        correlation.regret,
        correlation.pick_return,
        lambda truth, score: correlation.top_overlap(truth, score, 5),
    ],
)
def test_few_architectures_give_a_warning_and_no_number(figure):
    truth, score = truth_and_score(9)
    with pytest.warns(UserWarning, match="9 architectures are too few for a correlation: .* 10 are needed") as caught:
        assert math.isnan(figure(truth, score))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isfinite(figure(*truth_and_score(10)))


def test_what_is_no_ranking_is_refused():
    truth, score = truth_and_score()
    with pytest.raises(ValueError, match="of the same architectures, got 30 and 29 of them: choose the rows"):
        correlation.tau_b(truth, score[:-1])
    with pytest.raises(NotFiniteError, match="1 of 30 scores are NaN or infinite: leave out the architectures"):
        correlation.tau_b(truth, np.where(np.arange(30) == 3, np.nan, score))
    with pytest.raises(ValueError, match=r"returns must be \(n_architectures,\) or .* got shape \(30, 0\)"):
        correlation.tau_b(truth[:, :0], score)
