"""Picks against baselines, with p-values that know of each other."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from sb3_distill.errors import NotFiniteError
from sb3_distill.search.ranking.picks import compare_pick, holm, holm_family, mann_whitney, probability_of_improvement, welch


def returns(mean, n=10, seed=0):
    return np.random.default_rng(seed).normal(mean, 20, n)


def test_holm_on_a_known_family():
    # Holm's step-down by hand: 4 x .005, 3 x .01, 2 x .03, and .04 not below its forerunner
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.5, 0.9])), [1.0, 1.0])
    np.testing.assert_allclose(holm(np.array([0.02])), [0.02])
    assert len(holm(np.array([]))) == 0


def test_a_test_without_a_p_value_is_a_member_of_the_family():
    corrected = holm(np.array([0.01, math.nan, 0.02]))
    np.testing.assert_allclose(corrected, [0.03, math.nan, 0.04])


def test_holm_keeps_the_rate_of_false_findings():
    rng = np.random.default_rng(0)
    assert np.mean([holm(rng.random(6)).min() <= 0.05 for _ in range(4000)]) == pytest.approx(0.05, abs=0.012)


def test_p_values_are_those_of_scipy():
    one, two = returns(300), returns(280, 8, seed=1)
    assert welch(one, two) == pytest.approx(stats.ttest_ind(one, two, equal_var=False).pvalue)
    assert mann_whitney(one, two) == (pytest.approx(stats.mannwhitneyu(one, two, method="exact").pvalue), True)


def test_ties_are_counted_out_where_they_can_be():
    one, two = np.array([500, 500, 500, 490, 480.0]), np.array([480, 470, 500, 460, 450.0])
    p_value, exact = mann_whitney(one, two)
    assert exact
    assert p_value == mann_whitney(one, two)[0]
    pooled, ranks = np.concatenate([one, two]), stats.rankdata(np.concatenate([one, two]))
    seen = ranks[:5].sum()
    sums = np.array([ranks[list(rows)].sum() for rows in combinations(range(len(pooled)), 5)])
    assert p_value == pytest.approx(2 * np.mean(sums >= seen), abs=1e-9)
    large = mann_whitney(np.round(returns(300, 15)), np.round(returns(300, 15)))
    assert not large[1]
    assert large[0] == pytest.approx(1, abs=0.05)


def test_a_better_pick_is_found_better():
    found = compare_pick("distillation", returns(331), "64-64", returns(194, seed=1))
    assert found.difference.low > 100
    assert found.difference.low < found.difference.value < found.difference.high
    assert found.improvement.value == 1
    assert found.welch < 1e-6
    assert found.mann_whitney < 1e-4
    assert found.exact
    assert math.isnan(found.welch_holm)


def test_a_pick_that_is_alike_is_not():
    found = compare_pick("distillation", returns(200), "64-64", returns(200, seed=5))
    assert found.difference.low < 0 < found.difference.high
    assert found.welch > 0.05
    assert found.mann_whitney > 0.05
    assert found.improvement.low < 0.5 < found.improvement.high


def test_improvement_counts_pairs():
    assert probability_of_improvement(np.array([1.0, 3.0]), np.array([1.0, 2.0])) == pytest.approx((0.5 + 2) / 4)
    one, two = returns(300), returns(290, seed=1)
    assert probability_of_improvement(one, two) == pytest.approx(stats.mannwhitneyu(one, two).statistic / 100)


def test_all_comparisons_of_a_claim_are_one_family():
    base = returns(200, seed=9)
    found = [compare_pick(f"way {i}", returns(mean, seed=i), "64-64", base) for i, mean in enumerate((330, 225, 201))]
    family = holm_family(found)
    np.testing.assert_allclose([one.welch_holm for one in family], holm(np.array([one.welch for one in found])))
    assert all(one.welch_holm >= one.welch and one.mann_whitney_holm >= one.mann_whitney for one in family)
    assert [one.pick for one in family] == ["way 0", "way 1", "way 2"]
    assert holm_family([*family, *found])[0].welch_holm == pytest.approx(6 * found[0].welch)  # of a larger family
    assert holm_family([]) == []


def test_returns_at_the_ceiling():
    found = compare_pick("way", np.full(5, 500.0), "64-64", np.full(5, 500.0))
    assert math.isnan(found.welch)
    assert found.mann_whitney == 1
    assert found.improvement.value == 0.5
    assert found.summary()["welch"] is None
    assert found.summary()["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    found = compare_pick("way", np.full(5, 500.0), "64-64", returns(200, 5))
    assert found.welch < 1e-4
    assert found.mann_whitney == pytest.approx(2 / math.comb(10, 5))


def test_a_seed_gives_one_result():
    one, two = returns(300), returns(290, seed=1)
    assert compare_pick("a", one, "b", two, seed=2).difference == compare_pick("a", one, "b", two, seed=2).difference
    assert compare_pick("a", one, "b", two, seed=2).difference != compare_pick("a", one, "b", two, seed=3).difference


def test_what_cannot_be_compared():
    with pytest.raises(ValueError, match=r"returns of 64-64 must be \(n_seeds,\), two seeds at least, got shape \(1,\)"):
        compare_pick("way", returns(1), "64-64", np.ones(1))
    with pytest.raises(NotFiniteError, match="1 of 2 returns of way are NaN or infinite"):
        compare_pick("way", np.array([1.0, np.inf]), "64-64", np.ones(2))
