"""``sb3-distill search`` as a user types it."""

import json

import pytest
from helpers import simplex_dataset
from judges import Judge

from sb3_distill.cli import program as cli
from sb3_distill.cli.studies import search as command

SPACE = {"width": [8, 16, 32], "activation": ["tanh", "relu"]}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "space.json").write_text(json.dumps(SPACE))
    simplex_dataset(2, 10.0).save("set.safetensors")
    return tmp_path


@pytest.fixture
def judged(monkeypatch):
    """Judges in place of trainings."""
    judges = [Judge("distillation"), Judge("online")]
    monkeypatch.setattr(command, "evaluators_of", lambda options: judges)
    return judges


FEW = pytest.mark.filterwarnings("ignore:.* architectures are too few for a correlation")


@FEW
def test_a_table_and_a_file_for_two_ways(folder, judged, capsys):
    arguments = ["search", "NDCartPole2D-v0", "--space", "space.json", "--trials", "4", "--sampler", "random", "-o", "result"]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "distillation" in out and "online" in out and "2x32" in out
    tried = json.loads((folder / "result" / "trials.json").read_text())
    assert list(tried) == ["distillation", "online"]
    assert [one["architecture"] for one in tried["online"]] == [one["architecture"] for one in tried["distillation"]]
    assert {one["state"] for one in tried["online"]} == {"finished"} and len(tried["online"]) == 4
    assert len(tried["online"][0]["score"]["per_seed"]) == 3
    made = {path.name for path in (folder / "result").iterdir()}
    assert {"search.journal", "trials.json", "ranking.json", "search.html"} <= made


def test_few_architectures_have_no_correlation_and_one_warning(folder, judged, capsys):
    arguments = ["search", "NDCartPole2D-v0", "--space", "space.json", "--trials", "3", "--sampler", "random", "--json"]
    with pytest.warns(UserWarning, match="3 architectures are too few for a correlation of distillation") as caught:
        assert cli.main(arguments) == 0
    assert len(caught) == 1
    assert json.loads(capsys.readouterr().out)["figures"]["agreements"]["distillation"]["tau_b"]["value"] is None


@FEW
def test_picks_are_confirmed_with_new_seeds(folder, judged, monkeypatch, capsys):
    rl = Judge("rl")
    monkeypatch.setattr(command, "_online", lambda options: rl)
    arguments = ["search", "NDCartPole2D-v0", "--space", "space.json", "--trials", "4", "--sampler", "random", "-o", "result"]
    assert cli.main([*arguments, "--confirm", "1", "--confirm-seeds", "2"]) == 0
    assert "Picks against baselines" in capsys.readouterr().out
    confirmations = json.loads((folder / "result" / "ranking.json").read_text())["confirmations"]
    assert list(confirmations) == ["distillation", "online", "default", "median", "random"]
    assert {len(values) for values in confirmations.values()} == {2}


@FEW
def test_the_same_command_goes_on(folder, judged, capsys):
    arguments = ["search", "NDCartPole2D-v0", "--space", "space.json", "--json", "--storage", "sqlite:///search.db"]
    assert cli.main([*arguments, "--trials", "2"]) == 0
    assert cli.main([*arguments, "--trials", "3"]) == 0
    capsys.readouterr()
    assert len(judged[0].calls) == 3
    assert cli.main([*arguments, "--trials", "3", "--env-kwargs", "max_episode_steps:50"]) == 1
    assert "another task" in capsys.readouterr().err


def test_an_interruption_says_what_is_kept(judged, monkeypatch, capsys):
    def score(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(judged[0], "score", score)
    assert cli.main(["search", "CartPole-v1", "--space", "space.json", "--storage", "here.journal", "--json"]) == 130
    assert "what was judged is kept in here.journal; the same command goes on" in capsys.readouterr().err


def test_distillation_judges(folder, capsys):
    arguments = ["search", "NDCartPole2D-v0", "--dataset", "set.safetensors", "--space", "space.json", "--trials", "3"]
    assert cli.main([*arguments, "--json", "--budget-distillation", "3", "--seeds", "2"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["n"] == {"distillation": 3}
    assert result["best"]["distillation"]["widths"][0] in SPACE["width"]
    assert (folder / "NDCartPole2D-v0-search" / "trials.json").is_file()


@pytest.mark.slow
def test_rl_judges(capsys):
    arguments = ["search", "CartPole-v1", "--space", "space.json", "--trials", "1", "--by", "online", "--seeds", "1"]
    assert cli.main([*arguments, "--json", "--budget-online", "2048"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == {"online": 1}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--by", "offline"], "pass --data FILE"),
        (["--confirm", "-1"], "--confirm is a number from 0, got -1"),
        (["--env-kwargs", "3"], "--env-kwargs are name:value, got '3'"),
        (["--space", "nothing"], "unknown search space 'nothing'"),
        (["--storage", "space.json"], "is no journal of Optuna"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, message, capsys):
    command_line = ["search", "NDCartPole2D-v0", "--space", "space.json", "--dataset", "set.safetensors", "--json"]
    assert cli.main([*command_line, *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
