"""``sb3-distill generalisation`` as a user types it."""

import json

import pytest
from helpers import simplex_dataset

from sb3_distill.cli import program as cli

FEW = ["--held-out", "none", "--learners", "2", "--episodes", "2", "--reference", "500", "--untaught", "20"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name, rate in (("fast", 10.0), ("slow", 0.01)):
        simplex_dataset(2, rate).save(f"{name}.safetensors")
    (tmp_path / "two.json").write_text(json.dumps({"64": {"width": 64}, "8": {"width": 8}}))
    return tmp_path


def test_a_table_and_a_page(folder, capsys):
    pytest.importorskip("matplotlib")
    assert cli.main(["generalisation", "fast.safetensors", "slow.safetensors", "--grid", "two.json", *FEW]) == 0
    out = capsys.readouterr().out
    assert "in-distribution" in out and "two: transfer" in out and "minus" in out
    assert "page: fast-generalisation.html" in out
    assert "slow.safetensors" in (folder / "fast-generalisation.html").read_text()


def test_json_of_one_set_taught_by_several_loops(folder, capsys):
    loops = ["--inner-loop", "ridge", "--inner-loop", "carry"]
    assert cli.main(["generalisation", "fast.safetensors", "--grid", "two.json", "--json", *loops, *FEW]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["sets"]) == ["fast.safetensors (ridge)", "fast.safetensors (carry)"]
    assert result["comparisons"][0]["second"] == "fast.safetensors (carry)"
    assert set(result["comparisons"][0]["two"]["differences"]) >= {"transfer", "cvar", "coverage"}
    assert result["page"] is None and not list(folder.glob("*.html"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--grid", "two.json", "--held-out", "two.json", "--reference", "9"], "`held_out` must be another grid than `grid`"),
        (
            ["--grid", "two.json", "--held-out", "none", "--reference", "3", "--untaught", "20"],
            "reference return 3 must be finite and above",
        ),
        (["--grid", "two.json", "--held-out", "none"], "records no score"),
        ([*FEW, "--untaught", "much"], "--untaught is task, cell or a number, got 'much'"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, message, capsys):
    assert cli.main(["generalisation", "fast.safetensors", "--json", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
