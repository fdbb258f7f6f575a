"""``sb3-distill distil`` and ``evaluate --data`` as a user types them."""

import json

import numpy as np
import pytest

from sb3_distill.cli import program as cli


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=300)
    x = 3 * np.eye(3)[y] + rng.standard_normal((300, 3))
    np.savez("data.npz", x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    return tmp_path


def test_distil_and_evaluate(folder, capsys):
    command = ["distil", "--data", "data.npz", "-o", "set.safetensors", "--updates", "100", "--inner-loop", "ridge"]
    assert cli.main([*command, "--checkpoint", "run.zip", "-params", "batch_size:64"]) == 0
    assert "ridge, k=3" in capsys.readouterr().out
    assert cli.main(["evaluate", "set.safetensors", "--data", "data.npz", "--learners", "5"]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert cli.main(["evaluate", "set.safetensors", "--data", "data.npz", "--learners", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mean"] > 0.8
    assert cli.main(["show", "set.safetensors"]) == 0
    assert "examples" in capsys.readouterr().out
    command[-3] = "120"  # updates: the run goes on
    assert cli.main([*command, "--checkpoint", "run.zip", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["updates"] == 120


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["evaluate", "set.safetensors"], "name examples with --data"),
        (["evaluate", "set.safetensors", "--data", "data.npz", "--grid", "table1"], "leave it out with --data"),
        (["evaluate", "set.safetensors", "--data", "data.npz", "--episodes", "3"], "--episodes is for sets of environments"),
        (["evaluate", "set.safetensors", "--data", "data.npz", "--deterministic"], "--deterministic is for sets of env"),
        (["evaluate", "NDCartPole1D-v0", "--module", "a:b"], "--module is for sets of labelled data"),
        (["evaluate", "set.safetensors", "--data", "data.npz", "--module", "nets"], "package.module:name"),
        (["evaluate", "set.safetensors", "--data", "none.npz"], "none.npz"),
        (["evaluate", "NDCartPole1D-v0", "--data", "data.npz"], "was not distilled from data"),
        (["distil", "--data", "data.npz", "-o", "x.safetensors", "-params", "batch:3"], "unknown key 'batch'"),
        (["distil", "--data", "data.npz", "-o", "x.safetensors", "--classes", "2"], "class 2 is out of range"),
        (["distil", "--data", "data.npz", "-o", "x.txt"], "x.txt"),
    ],
)
def test_mistakes_are_told_in_a_line(folder, capsys, arguments, message):
    cli.main(["distil", "--data", "data.npz", "-o", "set.safetensors", "--updates", "1", "--json"])
    capsys.readouterr()
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1


def test_a_module_in_the_folder_is_found(folder, capsys):
    (folder / "my_networks.py").write_text("from torch import nn\ndef small():\n    return nn.Linear(3, 3)\n")
    command = ["distil", "--data", "data.npz", "-o", "set.safetensors", "--updates", "2", "--module", "my_networks:small"]
    assert cli.main(command) == 0, capsys.readouterr().err
    assert cli.main(["evaluate", "set.safetensors", "--data", "data.npz", "--module", "my_networks:small"]) == 0
