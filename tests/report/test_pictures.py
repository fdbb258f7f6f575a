"""Pictures of datasets and scores."""

import sys

import numpy as np
import pytest
from gymnasium import spaces
from helpers import ReachEnv, simplex_dataset
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_distill import PPMO, Evaluation, SyntheticDataset
from sb3_distill.report.pictures import _drawn_labels, _rows, heat_map, ladder, show

pytest.importorskip("matplotlib")


def is_picture(path, least=1_000):
    content = path.read_bytes()
    return content.startswith(b"\x89PNG") and len(content) > least


def test_poles_and_bars_are_drawn(tmp_path):
    show(simplex_dataset(2, 10.0), tmp_path / "poles.png")
    show(PPMO("MlpPolicy", DummyVecEnv([ReachEnv]), n_steps=8, seed=0).dataset, tmp_path / "bars.png")
    assert is_picture(tmp_path / "poles.png")
    assert is_picture(tmp_path / "bars.png")


def test_images_are_drawn(tmp_path):
    show("PongNoFrameskip-v4/l3", tmp_path / "pong.png")
    assert is_picture(tmp_path / "pong.png", 10_000)


def test_logits_are_drawn_as_probabilities_and_means_as_they_are():
    dataset = SyntheticDataset.load("NDCartPole1D-v0")
    labels, limits, kind = _drawn_labels(dataset)
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-5)
    assert limits == (0, 1)
    assert kind == "softmax of the label"
    dataset.info.action_space = spaces.Box(-1, 1, (2,))
    labels, limits, kind = _drawn_labels(dataset)
    np.testing.assert_array_equal(labels, dataset.labels.detach().numpy())
    assert limits == (labels.min(), labels.max())
    assert kind == "label"


def test_observations_of_several_keys_are_drawn_side_by_side():
    one, two = (simplex_dataset(n, 10.0).observations.detach() for n in (1, 1))
    rows = _rows({"a": one, "b": two})
    np.testing.assert_array_equal(rows, np.concatenate([one.numpy(), two.numpy()], axis=1))
    images = one.reshape(2, 1, 2, 2)
    assert _rows(images).shape == (2, 1, 2, 2)
    assert _rows({"image": images}).shape == (2, 4)


@pytest.mark.parametrize("n", [1, 8, 11])
def test_a_grid_of_any_number_of_cells(tmp_path, n):
    cells = {f"cell {i}": Evaluation(np.full((2, 2), float(i)), False) for i in range(n)}
    heat_map(cells, tmp_path / "new" / "cells.png", "title")
    assert is_picture(tmp_path / "new" / "cells.png")


def test_a_ladder_is_drawn(tmp_path):
    scores = {kind: {"mean": 1.0, "std": 0.5} for kind in ("sampled", "greedy")}
    ladder({"2": scores, "1": scores}, tmp_path / "new" / "ladder.png")
    assert is_picture(tmp_path / "new" / "ladder.png")


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "sb3-distill\[plots\]"'):
        show("NDCartPole1D-v0", tmp_path / "set.png")
