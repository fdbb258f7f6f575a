"""What each rule makes of the outputs of three members."""

import pytest
import torch as th
from gymnasium import spaces

from sb3_distill.ensemble.rules import centre, checked_rule, choices_of, choose, joined
from sb3_distill.ensemble.uncertainty import disagreement, mutual_information

LOGITS = th.tensor([[9.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]).unsqueeze(1)
"""One member is sure of 0, two lean to 1."""


@pytest.mark.parametrize("rule, action", [("logits", 0), ("probs", 0), ("vote", 1), ("vote-sampled", 0)])
def test_the_most_likely_action(rule, action):
    assert choose(rule, LOGITS, None).tolist() == [action]


@pytest.mark.parametrize("rule", ["logits", "probs", "vote", "vote-sampled"])
def test_samples_follow_the_rule(rule):
    n = 20_000
    actions = choose(rule, LOGITS.expand(3, n, 3), th.Generator().manual_seed(0))
    probs = LOGITS.softmax(-1)[:, 0]
    expected = {
        "logits": LOGITS.mean(0)[0].softmax(-1)[0],
        "probs": probs.mean(0)[0],
        "vote": 1 / 3,
        # a majority for 0: one of the two that lean to 1 samples 0, or all three differ and 0 breaks the tie
        "vote-sampled": 1 - (1 - probs[1, 0]) ** 2 + 2 * probs[1, 1] * probs[1, 2],
    }[rule]
    assert float((actions == 0).float().mean()) == pytest.approx(float(expected), abs=0.02)


def test_a_tie_of_votes_is_broken_by_probabilities():
    logits = th.tensor([[0.0, 1.0], [3.0, 0.0]]).unsqueeze(1)
    assert choose("vote", logits, None).tolist() == [0]
    assert choose("vote", logits.flip(-1), None).tolist() == [1]


def test_choices_are_combined_one_by_one():
    both = spaces.MultiDiscrete([2, 3])
    outputs = th.tensor([[0.0, 1.0, 5.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0, 1.0]]).unsqueeze(1)
    votes = joined([choose("vote", logits, None) for logits in choices_of(outputs, both)], both)
    assert votes.tolist() == [[1, 2]]
    bits = spaces.MultiBinary(2)
    outputs = th.tensor([[9.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]]).unsqueeze(1)
    votes = joined([choose("vote", logits, None) for logits in choices_of(outputs, bits)], bits)
    assert votes.tolist() == [[0.0, 0.0]]
    means = joined([choose("logits", logits, None) for logits in choices_of(outputs, bits)], bits)
    assert means.tolist() == [[1.0, 0.0]]


def test_numbers_have_a_mean_or_a_median():
    outputs = th.tensor([[0.0], [1.0], [8.0], [3.0]]).unsqueeze(1)
    assert centre("mean", outputs).tolist() == [[3.0]]
    assert centre("median", outputs).tolist() == [[2.0]]


def test_auto_is_fixed_by_the_actions():
    assert checked_rule("auto", spaces.Box(-1, 1, (2,))) == "mean"
    for space in (spaces.Discrete(3), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2)):
        assert checked_rule("auto", space) == "vote-sampled"


def test_members_disagree_where_their_greedy_actions_differ():
    assert disagreement(LOGITS).tolist() == pytest.approx([2 / 3])
    assert disagreement(LOGITS[1:]).tolist() == [0.0]
    assert disagreement(LOGITS[:1]).tolist() == [0.0]
    sure = th.tensor([[50.0, 0.0], [0.0, 50.0]]).unsqueeze(1)
    assert mutual_information(sure).tolist() == pytest.approx([0.6931], abs=1e-3)
    assert mutual_information(LOGITS[1:]).tolist() == pytest.approx([0.0], abs=1e-6)
