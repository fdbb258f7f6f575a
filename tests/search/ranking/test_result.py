"""A result in a file, a table, a page and pictures."""

import json
import math
import warnings

import numpy as np
import pytest

from sb3_distill.errors import NotFiniteError
from sb3_distill.search.ranking.cost import Cost
from sb3_distill.search.ranking.page import page_of, write_page
from sb3_distill.search.ranking.pictures import cost_and_agreement, truth_and_scores
from sb3_distill.search.ranking.result import SearchResult

N = 24


def search(n=N, **changes):
    rng = np.random.default_rng(0)
    quality = rng.normal(size=n)
    parts = {
        "keys": [f"net {i}" for i in range(n)],
        "architectures": [{"width": int(8 * 2**i), "activation": ("tanh", "relu")[i % 2]} for i in rng.integers(6, size=n)],
        "scores": {
            "distillation": quality[:, None] + 0.3 * rng.normal(size=(n, 4)),
            "parameters": quality + 2 * rng.normal(size=n),
        },
        "truth": 200 + 50 * quality[:, None] + 20 * rng.normal(size=(n, 3)),
        "costs": {"distillation": Cost([0.1] * n, {"distilling": 600.0}), "truth": Cost([24.1] * n)},
        "picks": {"distillation": "net 3"},
        "confirmations": {
            "distillation": rng.normal(330, 20, 6), "64-64": rng.normal(200, 20, 6), "median": rng.normal(170, 20, 6),
        },
        "baselines": ["64-64", "median"],
        "info": {"task": "NDCartPole2D-v0"},
    }  # fmt: skip
    return SearchResult(**{**parts, **changes})


def test_a_result_returns_from_its_file(tmp_path):
    result = search()
    file = result.save(tmp_path / "result")
    assert file == tmp_path / "result" / "ranking.json"
    again = SearchResult.load(tmp_path / "result")
    assert again.to_json() == result.to_json()
    assert again.table() == result.table()
    assert again.agreements == result.agreements
    content = json.loads(file.read_text())
    assert content["figures"]["agreements"]["distillation"]["tau_b"]["value"] > 0.5
    assert content["figures"]["comparisons"][0]["pick"] == "distillation"
    assert search().save(tmp_path / "other.json") == tmp_path / "other.json"


def test_a_table_has_a_row_for_each_score():
    heads, rows = search().table()
    assert [row[0] for row in rows] == ["distillation", "parameters"]
    assert {len(row) for row in rows} == {len(heads)}
    row = dict(zip(heads, rows[0], strict=True))
    assert row["architectures"] == "24"
    assert row["tied pairs"] == "0 of 276"
    assert row["s each"] == "0.1"
    assert row["s once"] == "600"
    assert row["cheaper than the truth from"] == "25"
    assert rows[1][-3:] == ["-", "-", "-"]
    assert len(search().ceiling_table()[1]) == 4
    heads, rows = search().comparison_table()
    assert [row[0] for row in rows] == ["distillation - 64-64", "distillation - median"]
    assert {len(row) for row in rows} == {len(heads)}


def test_architectures_without_a_score_do_not_enter():
    result = search()
    pruned = result.scores["distillation"].copy()
    pruned[:6, 1] = np.nan
    found = search(scores={**result.scores, "distillation": pruned})
    assert found.agreements["distillation"].n == N - 6
    assert found.agreements["parameters"].n == N
    rest = SearchResult(result.keys[6:], result.architectures[6:], {"distillation": pruned[6:]}, result.truth[6:])
    assert found.agreements["distillation"] == rest.agreements["distillation"]
    assert SearchResult.from_json(json.loads(json.dumps(found.to_json()))).agreements == found.agreements
    assert math.isfinite(found.difference("distillation", "parameters").value)
    assert list(found.agreements) == ["distillation", "parameters"]


def test_a_search_without_a_truth_says_what_comes_first():
    result = search(truth=None)
    heads, rows = result.table()
    best = int(result.scores["distillation"].mean(axis=1).argmax())
    assert dict(zip(heads, rows[0], strict=True))["ranks first"] == f"net {best}" == result.best("distillation")[0]
    assert result.agreements == {}
    assert result.ceiling is None
    assert result.ceiling_table()[1] == []
    assert set(result.pairwise()) == {"distillation", "parameters"}
    with pytest.raises(ValueError, match="no truth to compare scores by"):
        result.difference("distillation", "parameters")


def test_pairs_of_ways_agree_with_themselves():
    found = search().pairwise()
    assert list(found) == ["distillation", "parameters", "truth"]
    assert all(found[name][name] == pytest.approx(1) for name in found)
    assert found["truth"]["distillation"] == pytest.approx(found["distillation"]["truth"])
    assert found["truth"]["distillation"] == pytest.approx(search().agreements["distillation"].tau_b.value)


def test_every_score_is_compared_with_a_control():
    result = search()
    assert list(result.differences("parameters")) == ["distillation"]
    assert result.differences("parameters")["distillation"] == result.difference("distillation", "parameters")
    assert result.difference("distillation", "parameters").low > 0
    with pytest.raises(ValueError, match="there is no score 'synflow': choose from 'distillation', 'parameters'"):
        result.differences("synflow")
    with pytest.raises(ValueError, match="there is no score 'synflow'"):
        result.with_rank_average("both", ["synflow"])


@pytest.mark.parametrize("info", [{"x": math.nan}, {"x": np.ones(2)}])
def test_what_json_cannot_hold_is_not_saved(info, tmp_path):
    with pytest.raises(ValueError, match="`info` and `architectures` must be JSON, without NaN and infinity"):
        search(info=info).save(tmp_path)
    assert not (tmp_path / "ranking.json").exists()


def test_a_rank_average_is_one_more_score():
    result = search().with_rank_average("both", ["distillation", "parameters"])
    assert list(result.agreements) == ["distillation", "parameters", "both"]
    scores = result.scores["distillation"].copy()
    scores[0] = np.nan
    result = search(scores={**result.scores, "distillation": scores}).with_rank_average("both", ["distillation", "parameters"])
    assert result.agreements["both"].n == N - 1


def test_few_architectures_give_one_warning_and_a_table_without_numbers(tmp_path):
    result = search(9)
    message = "9 architectures are too few for a correlation of distillation, parameters"
    with pytest.warns(UserWarning, match=message) as caught:
        _, rows = result.table()
    assert len(caught) == 1
    assert [row[2] for row in rows] == ["-", "-"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page_of(result)
        result.save(tmp_path)
        assert all(math.isnan(tau) for taus in result.pairwise().values() for tau in taus.values())
        assert "tau" not in repr(search(9))


def test_what_is_to_be_known_of_a_result():
    text = repr(search())
    assert "architectures=24" in text
    assert "seeds of the truth=3" in text
    assert "pick of distillation='net 3'" in text
    assert "tau-b of distillation='0." in text


@pytest.mark.parametrize("result", [search(), search(truth=None), search(costs={}, picks={}, confirmations={}, baselines=[])])
def test_a_page_needs_no_other_file(result, tmp_path):
    write_page(result, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<h1>Search of architectures</h1>" in page
    assert "src='data:image/png" in page or result.truth is None
    assert ("Confirmation" in page) == bool(result.picks)


def test_names_of_strangers_stay_texts():
    result = search(picks={"<b>way</b>": "net 3"}, info={"task": "<script>"})
    assert "<script>" not in page_of(result)
    assert "<b>way" not in page_of(result)


def test_pictures(tmp_path):
    result = search()
    truth_and_scores(result, tmp_path / "scores.png")
    cost_and_agreement(result, tmp_path / "costs.png")
    assert all((tmp_path / f"{name}.png").stat().st_size > 1000 for name in ("scores", "costs"))
    assert len([ax for ax in truth_and_scores(result).axes if ax.get_title()]) == 2
    with pytest.raises(ValueError, match="needs a truth and a score"):
        truth_and_scores(search(truth=None))
    with pytest.raises(ValueError, match="needs a score with both a cost and a tau-b"):
        cost_and_agreement(search(costs={}))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"keys": ["net"] * N}, "each architecture needs a key of its own, got 1 different keys for 24 architectures"),
        ({"keys": [], "architectures": []}, "`keys` is empty"),
        ({"truth": np.ones((3, 2))}, r"truth must be \(24,\) or \(24, n_seeds\), a row for each key, got shape \(3, 2\)"),
        ({"scores": {"truth": np.ones(N)}}, "no score may be called 'truth'|costs"),
        ({"picks": {"way": "net 99"}}, "`picks` names 'net 99', which is none of"),
        ({"baselines": ["32-32"]}, "`baselines` names '32-32', which is none of 'distillation', '64-64', 'median'"),
        ({"costs": {"offline": Cost([1])}}, "`costs` names 'offline'"),
    ],
)
def test_parts_must_fit_each_other(changes, message):
    with pytest.raises(ValueError, match=message):
        search(**changes)


def test_a_truth_has_no_gaps():
    truth = np.ones((N, 2))
    truth[0, 0] = np.nan
    with pytest.raises(NotFiniteError, match="infinite, or NaN in the truth"):
        search(truth=truth)


def test_what_is_no_ranking_is_refused(tmp_path):
    (tmp_path / "ranking.json").write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        SearchResult.load(tmp_path)
    (tmp_path / "ranking.json").write_text("[1]")
    with pytest.raises(ValueError, match="no ranking of architectures: it has no 'format'"):
        SearchResult.load(tmp_path)
    with pytest.raises(ValueError, match="its format is 2, and 1 can be read"):
        SearchResult.from_json({**search().to_json(), "format": 2})
    with pytest.raises(ValueError, match="there is no score 'offline': choose from 'distillation', 'parameters', 'truth'"):
        search().importance("offline")
