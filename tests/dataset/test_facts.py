"""What a console and a notebook show of datasets, evaluations and policies."""

import copy
import html

import numpy as np
import pytest
from helpers import simplex_dataset

from sb3_distill import DistilledPolicy, Evaluation, SyntheticDataset
from sb3_distill.dataset.facts import scores_in_words


def test_a_dataset_says_what_it_is():
    text = repr(SyntheticDataset.load("NDCartPole2D-v0"))
    assert text.startswith("SyntheticDataset(k=3, task='NDCartPole2D-v0', inner_loop='sgd, 1 step'")
    assert "Box(8,)" in text
    assert "Discrete(4)" in text
    assert "sampled 500.0 ± 0.0" in text
    assert "\n" not in text


def test_a_policy_says_what_it_was_taught():
    policy = DistilledPolicy.from_dataset("NDCartPole1D-v0/wide", seed=0)
    text = repr(policy)
    assert "k=16" in text.replace(str(policy.dataset.n_instances), "16")
    assert "ridge" in text
    assert "ActorCriticPolicy" in text
    assert repr(copy.deepcopy(policy)) == text


def test_an_evaluation_says_its_score():
    evaluation = Evaluation(np.array([[1.0, 3.0], [4.0, 4.0]]), True, {"name": "sgd", "n_steps": 2})
    assert repr(evaluation) == (
        "Evaluation(score='3.0 ± 1.0', actions='greedy', learners=2, episodes_each=2, inner_loop='sgd, 2 steps')"
    )


def test_a_set_without_scores_says_so():
    dataset = simplex_dataset(2, 10.0)
    dataset.info.env_id, dataset.info.scores = None, {}
    assert "task=None" in repr(dataset)
    assert "scores='not evaluated'" in repr(dataset)


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "\x1b[31mred", "a\nb", "\u202egnp.exe", "x" * 10_000])
def test_texts_of_a_file_are_shown_and_not_obeyed(hostile):
    dataset = simplex_dataset(2, 10.0)
    dataset.info.env_id = hostile
    dataset.info.scores = {hostile: {"mean": 1.0, "std": 2}}
    text, table = repr(dataset), dataset._repr_html_()
    assert text.isprintable()
    assert len(text) < 1_000
    assert table.isprintable()
    assert len(table) < 3_000
    assert "<script>" not in table
    assert html.unescape(table).count("<script>") == (2 if "script" in hostile else 0)


@pytest.mark.parametrize("scores", [None, [], "x", {"a": None}, {"a": {"mean": "b", "std": 1}}, {"a": {"mean": 1}}])
def test_scores_that_are_none_are_left_out(scores):
    assert scores_in_words(scores) == ""


def test_notebooks_show_a_table():
    for shown in (SyntheticDataset.load("Pendulum-v1"), DistilledPolicy.from_dataset("Pendulum-v1", seed=0)):
        assert shown._repr_html_().startswith("<table>")
        assert "Pendulum-v1" in shown._repr_html_()
