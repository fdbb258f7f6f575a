"""Figures of a matrix of scores: what a reader of a report takes them for."""

import numpy as np
import pytest

from sb3_distill.errors import NotFiniteError
from sb3_distill.generalisation import metrics
from sb3_distill.generalisation.bootstrap import each_cell, estimate, resample


def scores(n_learners=6, n_cells=20, seed=0):
    return np.random.default_rng(seed).random((n_learners, n_cells))


def test_untaught_is_nothing_and_the_reference_everything():
    returns = np.array([[20.0, 500.0], [260.0, 740.0]])
    np.testing.assert_allclose(metrics.normalised(returns, 20.0, 500.0), [[0, 1], [0.5, 1.5]])
    np.testing.assert_allclose(metrics.normalised(returns, np.array([20.0, 300.0]), 500.0), [[0, 1], [0.5, 2.2]])
    np.testing.assert_allclose(metrics.normalised([[-800.0]], -1200.0, -200.0), [[0.4]])


@pytest.mark.parametrize("untaught", [500.0, 510.0, np.array([3.0, 510.0])])
def test_a_reference_must_be_above_the_untaught_return(untaught):
    with pytest.raises(
        ValueError, match=f"reference return 500 must be finite and above the untaught one, {np.max(untaught):g}"
    ):
        metrics.normalised([[20.0, 30.0]], untaught, 500.0)


def test_a_reference_must_be_finite():
    with pytest.raises(ValueError, match="reference return inf must be finite"):
        metrics.normalised([[20.0]], 0.0, float("inf"))


def test_scores_must_be_a_matrix_of_numbers():
    with pytest.raises(ValueError, match=r"must be \(n_learners, n_cells\), .* got shape \(3,\)"):
        metrics.checked_scores(np.ones(3))
    with pytest.raises(NotFiniteError, match="1 of 4 scores are NaN or infinite"):
        metrics.checked_scores([[1.0, np.nan], [2.0, 3.0]])


def test_figures_count_cells():
    cells = np.array([1.0] * 15 + [0.96, 0.94, 0.5, 0.19, 0.1])
    r = np.stack([cells - 0.005, cells + 0.005])
    assert metrics.transfer(r) == pytest.approx(cells.mean())
    assert metrics.worst(r) == pytest.approx(0.1)
    assert metrics.cvar(r) == pytest.approx((0.1 + 0.19) / 2)
    assert metrics.cvar(r, 0.125) == pytest.approx((0.1 + 0.19 + 0.5 * 0.5) / 2.5)
    assert metrics.coverage(r) == 16 / 20
    assert metrics.failure(r) == 2 / 20
    assert metrics.failed_learners(r) == 4 / 40
    assert metrics.cvar(r, 1.0) == pytest.approx(metrics.transfer(r))


def test_one_learner_that_fails_shows_though_its_cell_does_not():
    r = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    assert metrics.failure(r) == 0 and metrics.failed_learners(r) == 1 / 6


def test_the_worst_tenth_of_few_cells_is_the_worst_one():
    assert metrics.cvar(np.array([[0.3, 0.5, 0.9]])) == 0.3
    with pytest.raises(ValueError, match="`share` must be above 0"):
        metrics.cvar(scores(), 0.0)


def test_figures_agree_with_those_of_rliable():
    library, rliable = pytest.importorskip("rliable.library"), pytest.importorskip("rliable.metrics")
    r = scores()
    assert metrics.iqm(r) == pytest.approx(rliable.aggregate_iqm(r))
    assert metrics.transfer(r) == pytest.approx(rliable.aggregate_mean(r))
    np.testing.assert_allclose(metrics.profile(r), library.score_distributions(r, metrics.PROFILE))


def test_intervals_agree_with_those_of_rliable():
    library = pytest.importorskip("rliable.library")
    r, state = scores(), np.random.get_state()
    try:
        _, theirs = library.get_interval_estimates({"set": r}, lambda x: np.array([x.mean()]), reps=2000)
    finally:
        np.random.set_state(state)
    (ours,) = estimate(metrics.transfer, r, each_cell(r))
    np.testing.assert_allclose([ours.low, ours.high], theirs["set"].ravel(), atol=0.01)


def test_intervals_over_cells_are_wider_than_those_over_learners():
    r = np.tile(np.linspace(0, 1, 20), (6, 1)) + 0.01 * scores()
    (both,), (learners,) = estimate(metrics.transfer, r), estimate(metrics.transfer, r, each_cell(r))
    assert both.high - both.low > 10 * (learners.high - learners.low)
    assert both.low < both.value == learners.value < both.high


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Those of the worst tenth are somewhat short, which the documentation says."""
    population = np.sort(np.random.default_rng(99).beta(2, 0.3, 200_000))
    held = np.zeros(2)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        r = rng.beta(2, 0.3, 64) + 0.1 * rng.standard_normal((6, 64))
        truths = [(metrics.transfer, population.mean()), (metrics.cvar, population[:20_000].mean())]
        for i, (metric, truth) in enumerate(truths):
            (figure,) = estimate(metric, r, seed=seed)
            held[i] += figure.low <= truth <= figure.high
    assert held[0] >= 53
    assert held[1] >= 46


def test_draws_are_seeded_and_paired():
    first, second = scores(seed=1), scores(seed=1) + 0.1
    before = np.random.get_state()[1].copy()
    draws = [resample(metrics.transfer, r, seed=3) for r in (first, second)]
    np.testing.assert_allclose(draws[1] - draws[0], 0.1)
    assert (resample(metrics.transfer, first, seed=4) != draws[0]).any()
    assert (np.random.get_state()[1] == before).all()  # the generator of the process is the user's


def test_ranks():
    kept = metrics.rank_preservation([0.1, 0.2, 0.3, 0.9], [1, 2, 3, 4])
    assert kept.tau == 1 and kept.n_tied_pairs == 0 and kept.n == 4
    assert metrics.rank_preservation([0.1, 0.2, 0.3], [3, 2, 1]).tau == -1
    tied = metrics.rank_preservation([1.0, 1.0, 0.5, 0.2], [1.0, 0.9, 0.5, 0.2])
    assert tied.tau == pytest.approx(5 / np.sqrt(5 * 6)) and tied.n_tied_pairs == 1


def test_no_ranks_are_a_sentence_and_no_nan():
    for ranks in (
        metrics.rank_preservation([1.0, 1.0], [0.2, 0.3]),
        metrics.rank_preservation([1.0], [0.2]),
        metrics.rank_ceiling(np.ones((4, 5))),
        metrics.rank_ceiling(scores(n_learners=1)),
    ):
        assert ranks.tau is None and ranks.p_value is None and ranks.note
    with pytest.raises(ValueError, match="two orders of the same items"):
        metrics.rank_preservation([1.0], [1.0, 2.0])
