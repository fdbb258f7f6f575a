"""The report, from a set to a page."""

import json
from dataclasses import replace

import pytest
import torch as th
from helpers import simplex_dataset
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from sb3_distill import generalisation_report
from sb3_distill.errors import ArgumentError, UnsupportedError
from sb3_distill.generalisation import Recipe, compare, write_page
from sb3_distill.generalisation.page import page_of

CELLS = {
    "as made": {"init": "orthogonal"},
    "narrow": {"width": 8, "depth": 1, "init": "orthogonal"},
    "gain 1": {"width": 64, "depth": 2, "init": "orthogonal", "last_gain": 1.0},
}
FEW = dict(grid=CELLS, held_out=None, n_learners=3, n_episodes=2, reference=500.0, untaught=20.0)


class SquashedHead(ActorCriticPolicy):
    """Its last layer is no linear one."""

    def _build(self, lr_schedule):
        super()._build(lr_schedule)
        self.action_net = nn.Sequential(self.action_net, nn.Tanh())


def report_of(dataset=None, **arguments):
    return generalisation_report(dataset or simplex_dataset(2, 10.0), **{**FEW, **arguments})


@pytest.fixture(scope="module")
def report():
    return report_of()


def test_a_report_tells_the_made_for_from_the_other_learners(report):
    summary = json.loads(json.dumps(report.summary(), allow_nan=False))
    assert summary["in_distribution"]["value"] > 0.9
    assert summary["grid"]["worst_cell"] == "gain 1" and summary["grid"]["worst"]["value"] < 0.3
    assert summary["grid"]["cells"]["as made"]["r"]["value"] > 0.9
    gap = summary["grid"]["gap"]
    assert gap["value"] == pytest.approx(summary["in_distribution"]["value"] - summary["grid"]["transfer"]["value"])
    assert gap["low"] <= gap["value"] <= gap["high"]
    assert summary["n_learners"] == 3 and summary["held_out"] is None and summary["recipes"] is None
    assert "in_distribution" in report._repr_html_() and "NDCartPole2D-v0 (sgd, 1 step)" in repr(report)


def test_the_seed_decides(report):
    same, other = (report_of(seed=seed).grid.returns for seed in (0, 1))
    assert (report.grid.returns == same).all() and (same != other).any()


def test_untaught_learners_are_measured_where_no_number_is_given():
    dataset = simplex_dataset(2, 10.0)
    task, cell = (report_of(dataset, untaught=untaught).grid for untaught in ("task", "cell"))
    assert 5 < task.untaught < 60
    assert cell.untaught.shape == (3,) and (cell.untaught > 5).all() and (cell.untaught < 100).all()
    assert (task.returns == cell.returns).all()


def test_untaught_is_a_kind_or_a_number():
    with pytest.raises(ArgumentError, match="`untaught` must be 'task', 'cell' or a return, got 'zero'"):
        report_of(untaught="zero")


def test_the_reference_is_what_the_file_records():
    dataset = simplex_dataset(2, 10.0)
    with pytest.raises(ArgumentError, match="records no score: .* `reference`"):
        report_of(dataset, reference=None)
    dataset.info.scores = {"greedy": {"mean": 400.0}}
    assert report_of(dataset, reference=None).grid.reference == 400
    dataset.info.scores["sampled"] = {"mean": 450.0}
    assert report_of(dataset, reference=None).grid.reference == 450


def test_a_reference_below_the_untaught_return_is_refused_before_the_grid():
    with pytest.raises(ArgumentError, match="reference return 10 must be finite and above the untaught one, 20"):
        report_of(reference=10.0)


@pytest.mark.parametrize("held_out", [CELLS, {"another name": CELLS["narrow"]}])
def test_a_grid_cannot_be_held_out_and_used(held_out):
    with pytest.raises(ArgumentError, match=r"`held_out` must be another grid than `grid`: cell '.*' is in both"):
        report_of(held_out=held_out)


def test_what_a_set_was_made_for_cannot_be_held_out():
    dataset = simplex_dataset(2, 10.0)
    dataset.info.learner_distribution = [{"init": "xavier_normal", "weight": 2.0}]
    with pytest.raises(ArgumentError, match="the dataset was made for cell 'x' of `held_out`"):
        report_of(dataset, held_out={"x": {"init": "xavier_normal"}})
    dataset.info.learner_distribution = [{"policy": "MyPolicy"}]
    with pytest.raises(ArgumentError, match="pass the learners as `in_distribution`"):
        report_of(dataset)


def test_a_held_out_grid_has_figures_of_its_own():
    summary = report_of(held_out={"wide": {"width": 128}}).summary()
    assert list(summary["held_out"]["cells"]) == ["wide"] and "gap" in summary["held_out"]


def test_a_network_without_a_linear_last_layer_is_refused_by_name():
    dataset = simplex_dataset(2, 10.0)
    with pytest.raises(UnsupportedError, match="needs a linear last layer, the module `head` of this network is a Sequential"):
        report_of(dataset, grid={"squashed": {"policy": SquashedHead}}, inner_loop="ridge")


@pytest.mark.parametrize("loop", ["ridge", "carry", "sgd"])
@pytest.mark.parametrize("what", ["one instance", "labels alike"])
def test_degenerate_sets_have_poor_figures_and_no_nan(loop, what):
    dataset = simplex_dataset(2, 10.0)
    with th.no_grad():
        if what == "labels alike":
            dataset.labels[:] = dataset.labels[:1]
        else:
            dataset.observations = nn.Parameter(dataset.observations[:1].clone())
            dataset.labels = nn.Parameter(dataset.labels[:1].clone())
    report = report_of(dataset, inner_loop=loop, recipes=[Recipe("adam", 1e-2, 5)])
    json.dumps(report.summary(), allow_nan=False)
    assert report.grid.figures["transfer"].value < 0.5


def test_one_cell_has_a_sentence_in_place_of_factors():
    pytest.importorskip("matplotlib")
    report = report_of(grid={"only": {"width": 16}}, n_learners=1)
    json.dumps(report.summary(), allow_nan=False)
    assert "one cell has no factor" in report.sensitivity.note
    assert "one cell has no factor" in page_of([report])


def test_sets_are_compared_pair_by_pair(report):
    first, second = report, report_of(simplex_dataset(2, 0.01), name="slow <b>")
    (comparison,) = compare([first, second])
    difference = comparison.differences()["transfer"]
    assert difference.value < 0 and difference.high <= 0
    assert "slow" in comparison._repr_html_()
    same = compare([first, first])[0].differences()
    assert all(value == (0, 0, 0) for value in same.values())
    for changed in ({"seed": 1}, {"grid": replace(first.grid, cells={"a": {}, "b": {}, "c": {}})}):
        with pytest.raises(ArgumentError, match="cannot be compared pair by pair, the (cells|seed) differ"):
            compare([first, replace(first, **changed)])


def test_the_page_needs_no_other_file_and_shows_names_as_they_are(tmp_path):
    pytest.importorskip("matplotlib")
    report = report_of(name="<script>x</script>", recipes=[Recipe("adam", 1e-2, 5)])
    write_page([report], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "&lt;script&gt;" in text and "<script" not in text
    assert text.count("<img ") == 3 and "http" not in text and "href" not in text
    for word in ("transfer", "worst cell", "coverage", "recipe adam, 0.01, 5 steps", "last_gain", "20.0, 500.0"):
        assert word in text
