"""Intervals over architectures, and the noise of the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from sb3_distill.search.ranking import ceiling, resampling
from sb3_distill.search.ranking.resampling import agreement, agreements, draw_counts, tau_b_difference


def truth_and_score(n=40, n_seeds=3, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=n)
    return quality[:, None] + 0.3 * rng.normal(size=(n, n_seeds)), quality + noise * rng.normal(size=n)


@pytest.fixture
def drawn():
    """Means with ties, and draws of them."""
    truth, score = truth_and_score()
    return truth.mean(axis=1).round(1), score.round(), draw_counts(40, n_resamples=50)


def each(counts):
    """The drawn architectures, copies as often as they were drawn."""
    return [np.repeat(np.arange(len(row)), row) for row in counts]


def test_draws_of_correlations_are_those_of_scipy(drawn):
    true, score, counts = drawn
    taus = [stats.kendalltau(true[rows], score[rows]).statistic for rows in each(counts)]
    np.testing.assert_allclose(resampling.tau_b_draws(true, score, counts), taus, atol=1e-12)
    rhos = [stats.spearmanr(true[rows], score[rows]).statistic for rows in each(counts)]
    np.testing.assert_allclose(resampling.spearman_draws(true, score, counts), rhos, atol=1e-12)


def test_draws_of_picks_are_those_of_a_loop(drawn):
    true, score, counts = drawn
    picks, regrets = resampling.pick_draws(true, score, counts)
    for rows, pick, regret in zip(each(counts), picks, regrets, strict=True):
        first = true[rows][score[rows] == score[rows].max()].mean()
        assert pick == pytest.approx(first)
        assert regret == pytest.approx((true[rows].max() - first) / (true[rows].max() - np.median(true[rows])))


def test_copies_of_an_architecture_are_no_ties():
    truth, _ = truth_and_score()
    counts = draw_counts(40, n_resamples=200)
    true = truth.mean(axis=1)
    np.testing.assert_allclose(resampling.tau_b_draws(true, true, counts), 1)
    np.testing.assert_allclose(resampling.spearman_draws(true, true, counts), 1)
    np.testing.assert_allclose(resampling.overlap_draws(true, true, counts, 5), 1)


def test_draws_of_the_overlap_are_about_it():
    truth, score = truth_and_score(200)
    true, counts = truth.mean(axis=1), draw_counts(200)
    assert resampling.overlap_draws(true, score, counts, 60).mean() == pytest.approx(
        resampling.correlation.top_overlap(true, score, 60), abs=0.04
    )
    assert resampling.overlap_draws(true, np.ones(200), counts, 60).mean() == pytest.approx(60 / 200, abs=0.02)


def test_an_agreement_has_figures_in_their_intervals():
    found = agreement(*truth_and_score())
    assert found.n == 40
    assert found.n_tied_pairs == 0
    for estimate in (found.tau_b, found.spearman, found.top_5, found.top_10, found.regret, found.pick_return):
        assert estimate.low <= estimate.value <= estimate.high
    assert 0.05 < found.tau_b.high - found.tau_b.low < 0.4


def test_a_seed_gives_one_result():
    truth, score = truth_and_score()
    assert agreement(truth, score, seed=3) == agreement(truth, score, seed=3)
    assert agreement(truth, score, seed=3).tau_b != agreement(truth, score, seed=4).tau_b
    assert agreement(truth, score, seed=-1).tau_b.value == agreement(truth, score, seed=0).tau_b.value


def test_an_interval_covers_the_tau_of_the_space():
    rng = np.random.default_rng(0)
    correlation = 0.8
    tau, covered = 2 / np.pi * np.arcsin(correlation), 0
    for seed in range(100):
        pairs = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], size=60)
        counts = draw_counts(60, seed, 400)
        low, high = np.quantile(resampling.tau_b_draws(pairs[:, 0], pairs[:, 1], counts), [0.025, 0.975])
        covered += low <= tau <= high
    assert 86 <= covered <= 100


def test_a_paired_difference_is_narrower_than_two_intervals():
    truth, score = truth_and_score(60)
    near = score + 0.05 * np.random.default_rng(1).normal(size=60)
    difference = tau_b_difference(truth, score, near)
    tau = agreement(truth, score).tau_b
    assert difference.high - difference.low < (tau.high - tau.low) / 2
    assert difference.low <= 0 <= difference.high
    noise = np.random.default_rng(2).normal(size=60)
    assert tau_b_difference(truth, score, noise).low > 0
    assert tau_b_difference(truth, noise, score).high < 0


def test_a_constant_score_has_no_interval():
    truth, _ = truth_and_score()
    found = agreement(truth, np.ones(40))
    assert math.isnan(found.tau_b.value)
    assert math.isnan(found.tau_b.low)
    assert found.n_tied_pairs == 40 * 39 // 2
    assert found.top_5.value == pytest.approx(5 / 40)
    assert resampling.summary_of(found)["tau_b"] == {"value": None, "low": None, "high": None}


def test_few_architectures_give_one_warning_for_all_scores():
    truth, score = truth_and_score(9)
    with pytest.warns(UserWarning, match="9 architectures are too few") as caught:
        found = agreements(truth, {"one": score, "two": np.ones(9)})
    assert len(caught) == 1
    assert found["two"].n_tied_pairs == 36
    assert math.isnan(found["one"].tau_b.value)
    with pytest.warns(UserWarning, match="9 architectures are too few"):
        assert math.isnan(tau_b_difference(truth, score, score).value)


def noisy(n=400, n_seeds=4, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=n)
    return quality, quality[:, None] + noise * rng.normal(size=(n, n_seeds))


def test_the_ceiling_of_two_seeds_is_their_tau():
    _, truth = noisy(50, 2)
    found = ceiling.noise_ceiling(truth)
    tau = stats.kendalltau(*truth.T).statistic
    assert found.single.value == pytest.approx(tau)
    assert found.halves == found.single == found.rest
    assert found.single.low < tau < found.single.high


def test_more_seeds_agree_better():
    _, truth = noisy()
    found = ceiling.noise_ceiling(truth)
    assert found.single.value < found.rest.value < found.noiseless.value
    assert found.single.value < found.halves.value < found.noiseless.value


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
def test_the_noiseless_ceiling_is_that_of_normal_returns(n_seeds):
    quality, truth = noisy(1000, n_seeds)
    tau = stats.kendalltau(quality, truth.mean(axis=1)).statistic
    single = np.mean([stats.kendalltau(truth[:, i], truth[:, j]).statistic for i in range(n_seeds) for j in range(i)])
    assert ceiling.noiseless_tau(single, n_seeds) == pytest.approx(tau, abs=0.04)


def test_seeds_that_do_not_agree_have_no_ceiling_above_0():
    assert ceiling.noiseless_tau(-0.1, 3) == 0
    assert ceiling.noiseless_tau(1.0, 3) == 1
    assert math.isnan(ceiling.noiseless_tau(math.nan, 3))


def test_every_split_into_halves_counts_once():
    assert ceiling.halves_of(4) == [[0, 1], [0, 2], [0, 3]]
    assert ceiling.halves_of(3) == [[0], [1], [2]]
    many = ceiling.halves_of(20)
    assert len(many) == ceiling.MOST_SPLITS
    assert {len(half) for half in many} == {10}
    assert many == ceiling.halves_of(20) != ceiling.halves_of(20, seed=1)


def test_one_seed_has_no_ceiling():
    _, truth = noisy(20, 1)
    found = ceiling.noise_ceiling(truth)
    assert found.n_seeds == 1
    assert math.isnan(found.single.value)
    with pytest.warns(UserWarning, match="5 architectures are too few for a noise ceiling"):
        assert math.isnan(ceiling.noise_ceiling(np.ones((5, 3))).halves.value)
