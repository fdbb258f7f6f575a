"""Ensembles against the best member, which is chosen on other episodes."""

import json

import numpy as np
import pytest
import torch as th
from helpers import ReachEnv, random_dataset, simplex_dataset

from sb3_distill import SupervisedDistillation, evaluate_ensemble, evaluate_learners
from sb3_distill.cli import program as cli
from sb3_distill.ensemble import Contest, EnsembleEvaluation
from sb3_distill.errors import ArgumentError

FEW = dict(n_members=6, n_select=3, n_episodes=5, n_draws=2)
MIXTURE = [{"init": "orthogonal"}, {"init": "orthogonal", "last_gain": 30.0}]
"""Members that a set made by hand teaches, and members that it does not."""


def evaluated(**arguments):
    return evaluate_ensemble(simplex_dataset(2, 10.0), **{**FEW, "learner_distribution": MIXTURE, **arguments})


@pytest.fixture(scope="module")
def evaluation():
    return evaluated(sizes=[1, 3, 6], rules=["auto", "logits"])


def test_elites_and_arbitrary_members_of_all_sizes_play_with_both_kinds_of_actions(evaluation):
    played = {(contest.choice, contest.size) for contest in evaluation.ensembles}
    assert played == {("arbitrary", 1), ("arbitrary", 3), ("arbitrary", 6), ("elite", 3)}
    assert {contest.rule for contest in evaluation.ensembles} == {"vote-sampled", "logits"}
    assert evaluation.kinds == ["greedy", "sampled"]
    for kind in evaluation.kinds:
        assert evaluation.selection[kind].shape == (2, 6, 3)
        assert evaluation.best[kind].shape == (2, 5)
        assert evaluation.best_member(kind).value > evaluation.members(kind).value
        elite = Contest(kind, "elite", "logits", 3)
        assert evaluation.mean(elite).value > evaluation.members(kind).value
        gain = evaluation.gain(elite)
        assert gain.low <= gain.value <= gain.high
        assert gain.value == pytest.approx(evaluation.mean(elite).value - evaluation.best_member(kind).value)
    summary = json.loads(json.dumps(evaluation.summary(), allow_nan=False))
    assert summary["n_draws"] == 2
    assert len(summary["ensembles"]) == len(evaluation.ensembles)
    assert "best member, greedy" in repr(evaluation)


def test_draws_are_those_of_evaluate_learners_and_can_be_joined(evaluation):
    again = [evaluated(sizes=[1, 3, 6], rules=["auto", "logits"], n_draws=1, seed=seed) for seed in (0, 1)]
    joined = EnsembleEvaluation.joined(again)
    for contest, returns in evaluation.ensembles.items():
        np.testing.assert_array_equal(joined.ensembles[contest], returns)
    learners = evaluate_learners(simplex_dataset(2, 10.0), 6, 50, True, MIXTURE, seed=1).learner_means
    assert np.corrcoef(learners, evaluation.selection["greedy"][1].mean(axis=1))[0, 1] > 0.9
    with pytest.raises(ArgumentError, match="evaluations are joined that played the same ensembles"):
        EnsembleEvaluation.joined([evaluation, evaluated(sizes=[2])])


def test_what_plays_test_episodes_starts_in_equal_states():
    class First(ReachEnv):
        """One step, whose reward is the state that the episode starts in."""

        def step(self, action):
            return self.target, float(self.target[0]), True, False, {}

    dataset = random_dataset(First().observation_space, First().action_space)
    evaluation = evaluate_ensemble(dataset, 3, [1, 2, 3], ["mean", "median"], 2, 4, 2, env=First, deterministic=True)
    for returns in evaluation.ensembles.values():
        np.testing.assert_array_equal(returns, evaluation.best["greedy"])
    assert np.ptp(evaluation.best["greedy"]) > 0
    assert evaluation.kinds == ["greedy"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(n_members=0), "`n_members` must be a whole number from 1, got 0"),
        (dict(sizes=[7]), r"`sizes` must be from 1 to 6, the number of members, got \[7\]"),
        (dict(n_select=0), "`n_select` must be a whole number from 1, got 0"),
        (dict(n_draws=0), "`n_draws` must be a whole number from 1, got 0"),
        (dict(rules=["median"]), "the rule 'median' does not fit actions of Discrete"),
        (dict(rules=[]), "`rules` must have at least one rule"),
        (dict(env="CartPole-v1"), "the dataset"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        evaluated(**arguments)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    simplex_dataset(2, 10.0).save("set.safetensors")
    return tmp_path


COMMAND = ["ensemble", "set.safetensors", "--members", "4", "--draws", "2", "--select-episodes", "2", "--episodes", "3"]


def test_the_command_prints_a_table_and_draws_a_picture(folder, capsys):
    pytest.importorskip("matplotlib")
    assert cli.main([*COMMAND, "--sizes", "1", "2", "4", "--rules", "auto", "logits"]) == 0
    out = capsys.readouterr().out
    assert "the best member" in out
    assert "elite 2, logits" in out
    assert "arbitrary 4, vote-sampled" in out
    assert "picture: set-ensemble.png" in out
    assert (folder / "set-ensemble.png").stat().st_size > 1_000


def test_the_command_prints_json_without_a_picture(folder, capsys):
    assert cli.main([*COMMAND, "--json", "--deterministic", "--learner-distribution", "xe", "--inner-loop", "ridge"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["picture"] is None
    assert "sampled" not in result
    assert result["inner_loop"]["name"] == "ridge"
    assert result["ensembles"][0]["size"] == 1
    assert not list(folder.glob("*.png"))


def test_a_set_without_an_environment_is_refused_before_any_bar(folder, capsys):
    inputs = np.random.default_rng(0).standard_normal((20, 4))
    SupervisedDistillation((inputs, inputs[:, 0] > 0), seed=0).learn(1).dataset.save("data.safetensors")
    assert cli.main(["ensemble", "data.safetensors", "--members", "2", "--draws", "1"]) == 1
    assert capsys.readouterr().err == (
        "error: the dataset was distilled from data, and has no environment: evaluate_supervised scores it\n"
    )


def test_without_a_seed_the_evaluation_keeps_the_one_it_drew():
    th.manual_seed(0)
    results = [evaluated(seed=None, n_draws=1, n_episodes=1, n_select=1, sizes=[1]) for _ in range(2)]
    assert results[0].seed != results[1].seed


@pytest.mark.usefixtures("folder")
def test_the_command_tells_mistakes_in_one_line(capsys):
    assert cli.main([*COMMAND, "--json", "--sizes", "5"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: `sizes` must be from 1 to 4")
    assert error.count("\n") == 1
