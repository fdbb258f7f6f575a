"""Benchmarks can be imported from anywhere, train nothing then, and are all in the table of their README."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BENCHMARKS = REPOSITORY / "benchmarks"
FOLDERS = ("paper", "speed", "studies", "make", "checks", "reliability")
SCRIPTS = sorted(path for folder in FOLDERS for path in (BENCHMARKS / folder).glob("*.py"))
ROWS = [line for line in (BENCHMARKS / "README.md").read_text().splitlines() if line.startswith("| `")]

IMPORT_ALL = """
import json, os, runpy, sys, traceback
from pathlib import Path
repository = Path(sys.argv[1])
sys.path[:0] = [str(repository), str(repository / "envs")]
import stable_baselines3
from sb3_distill import PPMO, DAgger

def learn(*_, **__):
    raise AssertionError("it trains when it is imported")

for algorithm in (PPMO, DAgger, stable_baselines3.PPO):
    algorithm.learn = learn
path = [part for part in sys.path if part and Path(part).resolve() != repository]
results = {}
for script in map(Path, sys.argv[2:]):
    sys.path[:] = path
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        del sys.modules[name]
    os.chdir(script.parent)
    try:
        module = runpy.run_path(str(script), run_name="imported")
        results[script.name] = "" if callable(module.get("main")) else "has no main()"
    except BaseException:
        results[script.name] = traceback.format_exc()
print(json.dumps(results))
"""
"""Each script by its path, from its folder, where only its line with `sys.path` leads to `benchmarks`."""


@pytest.fixture(scope="module")
def imported():
    """What went wrong, by name of the script."""
    command = [sys.executable, "-W", "ignore", "-c", IMPORT_ALL, str(REPOSITORY), *map(str, SCRIPTS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_it_can_be_imported_from_its_folder_and_trains_nothing(script, imported):
    assert imported[script.name] == ""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_it_runs_main_only_as_a_program(script):
    *_, last = ast.parse(script.read_text()).body
    assert isinstance(last, ast.If)
    assert ast.unparse(last.test) == "__name__ == '__main__'"


@pytest.mark.parametrize("folder", [REPOSITORY, BENCHMARKS / "paper"], ids=["repository", "own folder"])
def test_it_runs_as_a_program(folder):
    script = os.path.relpath(BENCHMARKS / "paper" / "table4.py", folder)
    done = subprocess.run([sys.executable, script, "--help"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "MuJoCo" in done.stdout
    assert "--kinds" in done.stdout


def test_the_readme_lists_every_script():
    listed = [row.split("`")[1] for row in ROWS if row.split("`")[1].endswith(".py")]
    assert sorted(listed) == sorted(f"{path.parent.name}/{path.name}" for path in SCRIPTS)


def test_the_readme_names_every_result_and_says_which_are_not_there():
    cells = [row.split("|")[3] for row in ROWS if ".py`" in row]
    assert all(".json`" in cell or "none" in cell for cell in cells)
    named = {name: cell for cell in cells for name in re.findall(r"`(\w+\.json)`", cell)}
    stored = {path.name for path in (BENCHMARKS / "results").iterdir()}
    assert stored <= set(named)
    assert all("none is committed" in named[name] for name in set(named) - stored)


def test_the_documentation_names_scripts_that_are_there():
    documents = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md"), REPOSITORY / "Makefile", *SCRIPTS]
    for document in documents:
        for name in re.findall(r"benchmarks/[\w/]+\.(?:py|json)", document.read_text()):
            assert (REPOSITORY / name).exists(), f"{document.name} names {name}"


def test_pieces_of_library_are_small():
    assert {path.name for path in (BENCHMARKS / "lib").glob("*.py") if len(path.read_text().splitlines()) >= 150} == set()
