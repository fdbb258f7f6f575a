"""Versions are said in several files, and must be the same in all of them."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = ("plots", "render", "tensorboard", "zoo", "atari", "video", "search")
"""Extras that the tests need, see the Makefile."""


def normal(name):
    return name.lower().replace("_", "-")


def pins(name):
    """Versions by package; several where they depend on the Python."""
    found = {}
    for package, version in re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / name).read_text(), flags=re.MULTILINE):
        found.setdefault(normal(package), set()).add(version)
    return found


LOCK, LOWEST = pins("requirements.lock"), pins("requirements-lowest.lock") | pins("requirements-torch-lowest.lock")
BOUNDS = {
    normal(match[1]): match[2]
    for requirements in (PROJECT["project"]["dependencies"], *(PROJECT["project"]["optional-dependencies"][e] for e in EXTRAS))
    for requirement in requirements
    if (match := re.match(r"([\w-]+)(?:\[.*\])?>=([\w.]+)", requirement))
}


@pytest.mark.parametrize("package", BOUNDS)
def test_the_lowest_declared_version_is_tried(package):
    assert any(version == BOUNDS[package] or version.startswith(f"{BOUNDS[package]}.") for version in LOWEST[package])


@pytest.mark.parametrize("tool", ["codespell", "coverage", "hypothesis", "mypy", "pytest", "pytest-cov", "ruff"])
def test_tools_are_the_same_everywhere(tool):
    assert LOCK[tool] == LOWEST[tool]


@pytest.mark.parametrize("repo, tool", [("astral-sh/ruff-pre-commit", "ruff"), ("codespell-project/codespell", "codespell")])
def test_hooks_have_the_versions_of_the_lock(repo, tool):
    (version,) = re.findall(rf"{repo}\n    rev: v(\S+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert LOCK[tool] == {version}
