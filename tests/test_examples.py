"""The examples run, and the documentation knows every argument of PPMO."""

import ast
import inspect
import re
import runpy
import sys
from pathlib import Path

import pytest

from sb3_distill import PPMO

ROOT = Path(__file__).parent.parent
QUICK = {
    "continue_with_ppo.py": ["--timesteps", "500"],
    "demo.py": ["--timesteps", "1000"],
    "hundred_agents.py": ["--agents", "3", "--episodes", "2"],
    "normalized_continuous.py": ["--timesteps", "500"],
    "quick_start.py": ["--timesteps", "1000"],
    "teach_any_network.py": ["--episodes", "1"],
}
LAST_LINES = {
    "continue_with_ppo.py": r"runs/stand_right\.zip: PPO\.load opens it",
    "demo.py": r"picture: demo/cartpole2d\.png",
    "hundred_agents.py": r"majority vote: +return +[\d.]+ of 500",
    "normalized_continuous.py": r"20 fresh networks: return -\d+ ± \d+; the same untaught: -\d+",
    "quick_start.py": r"dataset: runs/cartpole2d\.safetensors \(\d+ bytes\)",
    "teach_any_network.py": r"PyTorch's initialisation +return +[\d.]+ ± [\d.]+",
}


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "examples").glob("*.py")))
def test_example(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, *QUICK[name]])
    runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
    assert re.search(LAST_LINES[name] + r"\s*$", capsys.readouterr().out)


def test_the_table_of_hyperparameters_has_every_argument_with_its_default():
    page = (ROOT / "docs" / "hyperparameters.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE))
    parameters = dict(inspect.signature(PPMO).parameters)
    assert set(rows) == set(parameters)
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty:
            assert rows[name] == "required"
        else:
            assert ast.literal_eval(rows[name].strip("`")) == parameter.default, name


def test_every_public_name_is_in_the_api():
    import sb3_distill

    page = (ROOT / "docs" / "api.md").read_text()
    assert set(re.findall(r"^::: sb3_distill\.(\w+)$", page, re.MULTILINE)) == set(sb3_distill.__all__)
