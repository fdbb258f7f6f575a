"""What a user's type checker says: nothing about documented uses, something about every mistake."""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USES, MISTAKES = "tests/typing/documented_uses.py", "tests/typing/mistakes.py"


@pytest.fixture(scope="module")
def complaints():
    """Errors of ``mypy --strict`` by file and line; the cache is that of ``make type``, so that this takes seconds."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-pretty", USES, MISTAKES]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    errors = {USES: defaultdict(list), MISTAKES: defaultdict(list)}
    for file, line, message in re.findall(r"^(\S+?):(\d+): error: (.*)$", run.stdout, flags=re.MULTILINE):
        if file in errors:  # those of the package itself are for `make type`
            errors[file][int(line)].append(message)
    return errors


def test_documented_uses_are_well_typed(complaints):
    assert dict(complaints[USES]) == {}


def test_mistakes_are_found_and_nothing_else(complaints):
    lines = (ROOT / MISTAKES).read_text().splitlines()
    marked = {number: line for number, line in enumerate(lines, 1) if line.endswith("# mistake")}
    missed = [line for number, line in marked.items() if number not in complaints[MISTAKES]]
    assert missed == [], "mypy does not find these mistakes"
    assert {number: errors for number, errors in complaints[MISTAKES].items() if number not in marked} == {}
