"""Pictures of datasets and scores."""

import sys
import time

import numpy as np
import pytest
from gymnasium import spaces
from helpers import ReachEnv, simplex_dataset
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_distill import PPMO, Evaluation, SyntheticDataset
from sb3_distill.report.instances import drawn_labels, rows_of
from sb3_distill.report.pictures import heat_map, ladder, new_figure, show

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
    labels, limits, kind = drawn_labels(dataset)
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-5)
    assert limits == (0, 1)
    assert kind == "softmax of the label"
    dataset.info.action_space = spaces.Box(-1, 1, (2,))
    labels, limits, kind = drawn_labels(dataset)
    np.testing.assert_array_equal(labels, dataset.labels.detach().numpy())
    assert limits == (labels.min(), labels.max())
    assert kind == "label"


def test_observations_of_several_keys_are_drawn_side_by_side():
    one, two = (simplex_dataset(n, 10.0).observations.detach() for n in (1, 1))
    rows = rows_of({"a": one, "b": two})
    np.testing.assert_array_equal(rows, np.concatenate([one.numpy(), two.numpy()], axis=1))
    images = one.reshape(2, 1, 2, 2)
    assert rows_of(images).shape == (2, 1, 2, 2)
    assert rows_of({"image": images}).shape == (2, 4)


def texts_of(figure):
    """All texts that are drawn, titles and labels included."""
    from matplotlib.text import Text

    return {text.get_text() for text in figure.findobj(Text)}


def test_many_instances_are_one_heat_map_with_labels(tmp_path):
    dataset = SyntheticDataset.load("Pendulum-v1")
    assert dataset.n_instances == 64
    new_figure(1, 1).savefig(tmp_path / "fonts.png")  # the first picture of a process looks for fonts
    start = time.perf_counter()
    figure = show(dataset, tmp_path / "many.png")
    assert time.perf_counter() - start < 3  # a fifth of a second where nothing else runs; panels took ten
    assert is_picture(tmp_path / "many.png")
    assert {"instance", "label", "1", "64", "observation, as the network sees it"} <= texts_of(figure)
    (ax,) = figure.axes
    drawn = [image.get_array().shape for child in ax.child_axes for image in child.images]
    assert drawn == [(64, 3), (64, 1)]


def test_more_rows_than_a_picture_holds_are_left_out():
    dataset = many(SyntheticDataset.load("NDCartPole1D-v0"), 600)
    (ax,) = show(dataset).axes
    assert [image.get_array().shape for child in ax.child_axes for image in child.images] == [(512, 4), (512, 2)]


def many(dataset, k):
    """The first instance k times."""
    observations, labels = dataset.observations.detach(), dataset.labels.detach()
    times = [1] * (observations.dim() - 1)
    return SyntheticDataset(
        observations[:1].repeat(k, *times), labels[:1].repeat(k, 1), dataset.inner_loop, dataset.info, dataset.learned
    )


def test_many_images_are_tiles(tmp_path):
    dataset = many(SyntheticDataset.load("PongNoFrameskip-v4/l3"), 20)
    assert {"1", "20", "NOOP"} <= texts_of(show(dataset, tmp_path / "tiles.png"))
    assert is_picture(tmp_path / "tiles.png", 10_000)


@pytest.mark.parametrize("name", ["NDCartPole2D-v0", "Pendulum-v1"])
def test_axes_of_the_caller_are_drawn_into(name):
    figure = new_figure(8, 4)
    left, right = figure.subplots(1, 2)
    scores = {kind: {"mean": 1.0, "std": 0.5} for kind in ("sampled", "greedy")}
    assert show(name, ax=left) is figure
    assert left.child_axes
    assert not right.child_axes
    assert ladder({"2": scores, "1": scores}, ax=right, title="a ladder") is figure
    assert right.get_title() == "a ladder"


def test_axes_in_a_part_of_a_figure():
    figure = new_figure(8, 4)
    part, _ = figure.subfigures(1, 2)
    cells = {"a": Evaluation(np.ones((2, 2)), False), "b": Evaluation(np.zeros((2, 2)), False)}
    assert heat_map(cells, ax=part.subplots()) is figure
    assert {"a\n1.0", "b\n0.0"} <= texts_of(figure)


def test_without_a_path_no_file_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(show("NDCartPole1D-v0").axes) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_heat_map_of_nothing_is_refused():
    with pytest.raises(ValueError, match="one cell at least"):
        heat_map({})


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
