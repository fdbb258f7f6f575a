"""Pictures and videos leave the caller's process as it was."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch as th

from sb3_distill import Evaluation
from sb3_distill.report.pictures import heat_map, ladder, show
from sb3_distill.report.video import make_visible, watch

SCORE = {"mean": 1.0, "std": 0.5}
DRAWINGS = {
    "show": lambda path: show("NDCartPole1D-v0", path / "set.png"),
    "heat_map": lambda path: heat_map({"a": Evaluation(np.ones((2, 2)), False)}, path / "cells.png"),
    "ladder": lambda path: ladder({"1": {"sampled": SCORE, "greedy": SCORE}}, path / "ladder.png"),
    "watch": lambda path: watch("NDCartPole1D-v0", path / "video.gif", max_steps=3),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_backend_seeds_and_environment_variables_stay(name, tmp_path, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    if name == "watch":
        pytest.importorskip("imageio")
        pytest.importorskip("pygame")
    for variable in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    backend = matplotlib.get_backend()
    variables, torch_state, numpy_state = dict(os.environ), th.get_rng_state(), np.random.get_state()
    try:
        matplotlib.use("svg")
        settings = matplotlib.rcParams.copy()
        DRAWINGS[name](tmp_path)
        assert matplotlib.get_backend() == "svg"
        assert matplotlib.rcParams == settings
    finally:
        matplotlib.use(backend)
    assert dict(os.environ) == variables
    assert th.get_rng_state().equal(torch_state)
    np.testing.assert_equal(np.random.get_state(), numpy_state)
    assert len(list(tmp_path.iterdir())) == 1


def test_pyplot_is_not_imported(tmp_path):
    pytest.importorskip("matplotlib")
    code = f"import sys; from sb3_distill.report.pictures import show; show('NDCartPole1D-v0', r'{tmp_path}/set.png')"
    assert subprocess.run([sys.executable, "-c", f"{code}; sys.exit('matplotlib.pyplot' in sys.modules)"]).returncode == 0


def test_without_a_screen_mujoco_draws_by_egl(tmp_path, monkeypatch):
    """While an environment is made and drawn; where the caller has chosen, that counts."""
    pytest.importorskip("imageio")
    monkeypatch.setattr(sys, "platform", "linux")
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    seen = []
    monkeypatch.setattr(
        "sb3_distill.report.video._frame",
        lambda env: seen.append(os.environ.get("MUJOCO_GL")) or np.zeros((8, 8, 3), np.uint8),
    )
    for chosen in (None, "osmesa"):
        if chosen is None:
            monkeypatch.delenv("MUJOCO_GL", raising=False)
        else:
            monkeypatch.setenv("MUJOCO_GL", chosen)
        watch("NDCartPole1D-v0", tmp_path / "video.gif", max_steps=2)
        assert os.environ.get("MUJOCO_GL") == chosen
        assert set(seen) == {chosen or "egl"}
        seen.clear()


def test_where_nothing_can_be_drawn_the_variable_is_put_back(monkeypatch):
    from sb3_distill import SyntheticDataset

    monkeypatch.delenv("MUJOCO_GL", raising=False)
    dataset = SyntheticDataset.load("NDCartPole1D-v0")
    dataset.info.env_id = None
    with pytest.raises(ValueError, match="there is nothing to watch"):
        make_visible(dataset)
    assert "MUJOCO_GL" not in os.environ
