import numpy as np
import pytest

from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.confirmation import BASELINES, confirmed, joined, to_confirm, with_controls
from sb3_distill.search.score import Score
from sb3_distill.search.study.result import FINISHED, PRUNED, Tried, WayResult

NETWORKS = [PolicyArchitecture((width,)) for width in range(8, 24)]


class ByWidth:
    """A judge that likes wide networks; counts what it was asked for."""

    name, budget = "width", 1

    def __init__(self):
        self.asked = []

    def score(self, architecture, seeds, budget=None):
        self.asked.append((architecture.key, tuple(seeds)))
        return Score(tuple(architecture.widths[0] + seed / 100 for seed in seeds), 0.5)

    def describe(self):
        return {"evaluator": self.name}


def way(name, figure, state=FINISHED, networks=NETWORKS):
    tried = [Tried(one, state, Score((figure(one), figure(one) + 0.1), 2.0), "", i) for i, one in enumerate(networks)]
    return WayResult(name, tuple(tried))


def width(one):
    return float(one.widths[0])


def test_ways_stand_side_by_side_and_rl_is_the_truth():
    results = {"distillation": way("distillation", lambda one: -width(one)), "online": way("online", width)}
    result = joined(results, truth="online", fixed={"distillation": 60.0})
    assert result.truth.shape == (16, 2)
    assert list(result.scores) == ["distillation"]
    assert result.agreements["distillation"].tau_b.value == pytest.approx(-1)
    assert result.picks == {"distillation": NETWORKS[0].key, "online": NETWORKS[-1].key}
    assert result.costs["distillation"].once == 60


def test_without_rl_there_is_no_truth():
    result = joined({"distillation": way("distillation", width)})
    assert result.truth is None
    assert result.table()[1][0][2] == NETWORKS[-1].key


def test_an_architecture_that_rl_has_not_judged_leaves_no_truth():
    results = {"distillation": way("distillation", width), "online": way("online", width, networks=NETWORKS[:12])}
    result = joined(results, truth="online")
    assert result.truth is None
    assert result.scored("online").sum() == 12


def test_pruned_architectures_have_no_score():
    half = WayResult("d", (*way("d", width, networks=NETWORKS[:12]).tried, *way("d", width, PRUNED, NETWORKS[12:]).tried))
    assert joined({"d": half}).keys == [one.key for one in NETWORKS[:12]]


def test_networks_that_diverged_come_last():
    result = joined({"d": way("d", lambda one: -np.inf if one.widths[0] == 8 else width(one))})
    assert result.scores["d"][0].tolist() == [9.0, 9.0]


def test_nothing_finished_is_told():
    with pytest.raises(ValueError, match="one architecture at least"):
        joined({"d": WayResult("d", ())})


def test_controls_are_scored_and_pick_nothing():
    result = with_controls(joined({"d": way("d", lambda one: -width(one))}), [ByWidth()], [0, 1])
    assert list(result.scores) == ["d", "width"]
    assert list(result.picks) == ["d"]


def test_picks_and_baselines_are_trained_with_new_seeds_once_each():
    results = {"distillation": way("distillation", width), "online": way("online", width)}
    judge = ByWidth()
    result = confirmed(joined(results, truth="online"), judge, 2, range(100, 105))
    names = ["distillation", "distillation, 2", "online", "online, 2", *BASELINES]
    assert list(result.confirmations) == names
    assert len(judge.asked) == len({key for key, _ in judge.asked})
    assert {seeds for _, seeds in judge.asked} == {tuple(range(100, 105))}
    assert result.confirmations["distillation"].mean() == pytest.approx(24.02)
    assert {one.baseline for one in result.comparisons} == set(BASELINES)


def test_the_baselines_are_the_default_network_the_middle_and_one_at_random():
    chosen = to_confirm(joined({"distillation": way("distillation", width)}), 1)
    assert chosen["default"] == PolicyArchitecture()
    assert chosen["median"].widths[0] in (15, 16)
    assert chosen["random"] in NETWORKS[:-1]


def test_the_default_network_for_images_is_that_of_sb3():
    images = [PolicyArchitecture((width,), convolutions=[(8, 3, 1)]) for width in range(8, 12)]
    assert len(to_confirm(joined({"d": way("d", width, networks=images)}), 1)["default"].convolutions) == 3


def test_a_pick_that_diverged_is_the_worst():
    class Diverges(ByWidth):
        def score(self, architecture, seeds, budget=None):
            is_pick = architecture == NETWORKS[-1]
            return Score(tuple(-np.inf if is_pick else -300.0 - seed for seed in seeds), 1.0)

    result = confirmed(joined({"d": way("d", width)}), Diverges(), 1, range(2))
    assert result.confirmations["d"].tolist() == [-301.0, -301.0]
