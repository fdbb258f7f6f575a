"""Searches of one worker: what is tried, what is kept, and how a search ends."""

import sys

import numpy as np
import pytest
from judges import SMALL, SPACE, Judge

from sb3_distill.errors import ArgumentError, MissingExtraError
from sb3_distill.search.space import SearchSpace
from sb3_distill.search.study.run import search


def keys_of(result):
    return [architecture.key for architecture, _ in result.finished]


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "brute"])
@pytest.mark.parametrize("place", [None, "{}/new/search.journal", "sqlite:///{}/search.db"])
def test_every_sampler_in_every_storage(sampler, place, tmp_path):
    judge = Judge()
    result = search(SPACE, [judge], 12, (0, 1), place and place.format(tmp_path), sampler)["judge"]
    assert len(keys_of(result)) == 12 == len(set(keys_of(result)))
    assert sorted(keys_of(result)) == sorted(key for key, _ in judge.calls)
    architecture, score = result.finished[3]
    assert score == judge.score(architecture, (0, 1))


@pytest.mark.parametrize("sampler", ["random", "tpe", "brute"])
def test_one_worker_can_be_repeated(sampler):
    first, second, other = (search(SPACE, [Judge()], 14, (0,), sampler=sampler, seed=seed)["judge"] for seed in (3, 3, 4))
    assert keys_of(first) == keys_of(second) != keys_of(other)


def test_random_has_the_architectures_of_a_draw():
    result = search(SPACE, [Judge()], 9, (0,), sampler="random", seed=5)["judge"]
    assert keys_of(result) == [architecture.key for architecture in SearchSpace.parse(SPACE).draw(9, 5)]


def test_a_sampler_that_learns_finds_better_ones():
    best = {
        sampler: np.mean(
            [max(score.mean for _, score in search(SPACE, [Judge()], 40, (0,), sampler=sampler, seed=seed)["judge"].finished)
             for seed in range(3)]
        )
        for sampler in ("random", "tpe")
    }  # fmt: skip
    assert best["tpe"] > best["random"]


@pytest.mark.parametrize("sampler", ["random", "tpe", "brute"])
def test_a_search_goes_on(sampler, tmp_path):
    class Interrupted(Judge):
        def score(self, architecture, seeds, budget=None):
            if len(self.calls) == 5:
                raise KeyboardInterrupt
            return super().score(architecture, seeds, budget)

    place = tmp_path / "search.journal"
    first, second = Interrupted(), Judge()
    with pytest.raises(KeyboardInterrupt):
        search(SPACE, [first], 12, (0,), place, sampler)
    result = search(SPACE, [second], 12, (0,), place, sampler)["judge"]
    tried = [key for key, _ in first.calls + second.calls]
    assert sorted(tried) == sorted(keys_of(result)) and len(set(tried)) == 12
    third = Judge()
    assert search(SPACE, [third], 12, (0,), place, sampler)["judge"] == result and not third.calls
    assert len(search(SPACE, [third], 15, (0,), place, sampler)["judge"].finished) == 15 and len(third.calls) == 3
    if sampler != "tpe":
        assert keys_of(result) == keys_of(search(SPACE, [Judge()], 12, (0,), sampler=sampler)["judge"])


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "brute"])
def test_a_space_with_fewer_architectures_ends_the_search(sampler):
    judge = Judge()
    with pytest.warns(UserWarning, match="no more architectures: judge has finished 6 of the 20"):
        result = search(SMALL, [judge], 20, (0,), sampler=sampler)["judge"]
    assert len(set(keys_of(result))) == 6 == len(judge.calls)


def test_ways_judge_the_same_architectures():
    ways = search(SPACE, [Judge("offline"), Judge("online")], 8, (0,), sampler="random")
    assert list(ways) == ["offline", "online"]
    assert keys_of(ways["offline"]) == keys_of(ways["online"])


def test_a_list_of_architectures():
    listed = SearchSpace.parse(SPACE).draw(7, 1)
    result = search(None, [Judge()], seeds=(0,), architectures=[*listed, listed[0].to_json()])["judge"]
    assert keys_of(result) == [architecture.key for architecture in listed]
    assert keys_of(search(SPACE, [Judge()], 4, (0,), architectures=listed)["judge"]) == keys_of(result)[:4]


def test_a_list_beside_other_architectures_of_a_storage(tmp_path):
    place = tmp_path / "search.journal"
    search(SPACE, [Judge()], 5, (0,), place, "random", seed=1)
    listed = SearchSpace.parse(SPACE).draw(6, 2)
    judge = Judge()
    result = search(SPACE, [judge], None, (0,), place, architectures=listed)["judge"]
    assert keys_of(result) == [architecture.key for architecture in listed] and len(judge.calls) == 6


@pytest.mark.parametrize("pruner", ["asha", "hyperband"])
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_pruned_architectures_are_not_finished(pruner, sampler):
    judge = Judge()
    result = search(SPACE, [judge], 6, (0,), sampler=sampler, pruner=pruner)["judge"]
    pruned = [tried for tried in result.tried if tried.state == "pruned"]
    assert len(result.finished) == 6 and pruned
    assert not {tried.architecture.key for tried in pruned} & set(keys_of(result))
    assert {budget for _, budget in judge.calls} == {10, 30, None}
    assert {score.env_steps for _, score in result.finished} == {10 + 30 + 90}
    assert all(tried.score.env_steps < 130 for tried in pruned)
    assert sum(budget is None for _, budget in judge.calls) == 6
    assert len(judge.calls) == len(set(judge.calls))


def test_architectures_that_do_not_fit_are_told():
    judge = Judge(refuses=lambda architecture: len(architecture.widths) > 2)
    result = search(SPACE, [judge], 10, (0,), sampler="random")["judge"]
    refused = [tried for tried in result.tried if tried.state == "refused"]
    assert len(result.finished) == 10 and refused
    assert {tried.reason for tried in refused} == {"the kernels are larger than what they see"}
    assert len(judge.calls) == len(set(judge.calls)) == 10 + len(refused)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_if_none_fits_the_search_ends(sampler):
    judge = Judge(refuses=lambda architecture: True)
    with pytest.raises(ArgumentError, match="none of the first 10 architectures fits: the kernels are larger"):
        search(SPACE, [judge], 100, (0,), sampler=sampler)
    assert len(judge.calls) == 10
    with pytest.raises(ArgumentError, match="none of the first 3"):
        search(None, [judge], seeds=(0,), architectures=SearchSpace.parse(SPACE).draw(3))


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp"])
def test_networks_that_diverge_are_finished(sampler):
    class Diverging(Judge):
        def score(self, architecture, seeds, budget=None):
            score = super().score(architecture, seeds, budget)
            value = (-np.inf, np.nan, 1.0)[len(self.calls) % 3]
            return type(score)((value,), score.seconds)

    result = search(SPACE, [Diverging()], 15, (0,), sampler=sampler)["judge"]
    assert len(result.finished) == 15
    assert sum(np.isneginf(score.mean) for _, score in result.finished) == 5


def test_ranges_of_real_numbers(tmp_path):
    space = {**SPACE, "last_gain": {"low": 0.01, "high": 1.0}}
    for sampler in ("random", "tpe", "gp"):
        result = search(space, [Judge(sampler)], 12, (0,), tmp_path / "journal", sampler)[sampler]
        assert len(set(keys_of(result))) == 12
    with pytest.raises(ArgumentError, match="`last_gain` of this space is a range of real numbers; list"):
        search(space, [Judge()], 5, sampler="brute")


def test_layers_of_their_own(monkeypatch):
    monkeypatch.setattr("sb3_distill.search.study.candidates.MOST", 1000)
    for sampler in ("random", "tpe", "gp"):
        assert len(search({**SPACE, "per_layer": True}, [Judge()], 15, (0,), sampler=sampler)["judge"].finished) == 15
    with pytest.raises(ArgumentError, match="this space has more than 1,000"):
        search({**SPACE, "per_layer": True}, [Judge()], 5, sampler="brute")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"sampler": "nsga"}, "unknown sampler 'nsga'; known are tpe, random, gp, brute"),
        ({"pruner": "median"}, "unknown pruner 'median'; known are none, asha, hyperband"),
        ({"trials": 0}, "`trials` must be a whole number from 1, got 0"),
        ({"trials": None}, "needs a `space` and `trials`, or `architectures`"),
        ({"architectures": []}, "needs a `space` and `trials`, or `architectures`"),
        ({"evaluators": []}, "needs ways of judging, each with a name of its own, got none"),
        ({"evaluators": [Judge(), Judge()]}, "a name of its own, got judge, judge"),
        ({"seeds": [1, 1]}, "`seeds` must be different numbers"),
        ({"patience": 0}, "`patience` must be more than 0 seconds"),
    ],
)
def test_arguments_that_are_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        search(**{"space": SPACE, "evaluators": [Judge()], "trials": 3, **arguments})


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sb3-distill\[search\]'"):
        search(SPACE, [Judge()], 3)


def test_the_bar_counts_what_is_finished(tmp_path, capsys):
    search(SPACE, [Judge()], 4, (0,), tmp_path / "journal", "random")
    search(SPACE, [Judge()], 6, (0,), tmp_path / "journal", "random", progress_bar=True)
    error = capsys.readouterr().err
    assert "judge" in error and "4/6" in error and "6/6" in error
