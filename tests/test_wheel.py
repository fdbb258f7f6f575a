"""The wheel, installed elsewhere and used from an empty folder, has everything that the source tree has."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("setuptools", minversion="77", reason="builds a wheel with the setuptools of this environment")
pytest.importorskip("pip", reason="builds a wheel with the pip of this environment")

ROOT = Path(__file__).parents[1]
PACKAGES = {"sb3_distill": "sb3_distill", "nd_cartpole": "envs/nd_cartpole"}
SCRIPT = """
import importlib.metadata, pathlib, sys
import gymnasium as gym
import nd_cartpole
registered = [id for id in gym.registry if id.startswith("NDCartPole")]
assert "sb3_distill" not in sys.modules and {"NDCartPole-v0", "NDCartPole2D-v0"} <= set(registered), registered
import sb3_distill.cli.__main__
from sb3_distill import DistilledPolicy, cli, shipped_sets, zoo
for module in (sb3_distill, nd_cartpole):
    assert pathlib.Path(module.__file__).is_relative_to(sys.argv[1]), module.__file__
config = pathlib.Path(zoo.config_file())
assert config.is_file() and config.is_relative_to(sys.argv[1]), config
assert "NDCartPole2D-v0" in shipped_sets()
env = gym.make("NDCartPole2D-v0")
for name in shipped_sets():
    DistilledPolicy.from_dataset(name)
action, _ = DistilledPolicy.from_dataset("NDCartPole2D-v0", seed=0).predict(env.reset(seed=0)[0])
assert env.action_space.contains(action[()])
(script,) = importlib.metadata.distribution("sb3-distill").entry_points
assert script.name == "sb3-distill" and script.load() is sb3_distill.cli.__main__.main and cli.main(["datasets"]) == 0
"""


def run(*command, **kwargs):
    result = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, **kwargs)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder into which the wheel was installed; it is built from a copy, so that no build folder stays behind."""
    folder = tmp_path_factory.mktemp("wheel")
    leave_out = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "docs", "benchmarks", "tests")
    shutil.copytree(ROOT, folder / "source", ignore=leave_out)
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
    run(*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder / "dist", folder / "source")
    (wheel,) = (folder / "dist").iterdir()
    assert wheel.name.endswith("-py3-none-any.whl")
    run(*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel)
    return folder / "site"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_is_left_out(installed, package):
    source = ROOT / PACKAGES[package]
    wanted = {path.relative_to(source) for path in source.rglob("[!.]*") if path.is_file() and path.suffix != ".pyc"}
    assert wanted
    assert {path for path in wanted if not (installed / package / path).is_file()} == set()


@pytest.mark.slow
def test_it_works_from_an_empty_folder(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    assert "NDCartPole2D-v0" in run("-c", SCRIPT, installed, cwd=tmp_path, env=environment)
    assert list(tmp_path.iterdir()) == []
