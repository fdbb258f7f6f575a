"""What may be handed over as labelled data, and what is refused with a sentence."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch as th
from recordings import recording
from torch.utils.data import TensorDataset

from sb3_distill.errors import ArgumentError, NotFiniteError
from sb3_distill.supervised import Examples
from sb3_distill.supervised.files import load_examples

X = np.arange(12.0).reshape(6, 2)


def test_arrays_tensors_and_datasets_are_the_same_examples():
    y = np.array([0, 1, 2, 0, 1, 2])
    forms = [
        (X, y),
        (th.tensor(X), th.tensor(y)),
        TensorDataset(th.tensor(X), th.tensor(y)),
        (X.tolist(), y.tolist()),
    ]
    for form in forms:
        examples = Examples.of(form)
        assert examples.n_classes == 3
        assert examples.inputs.dtype == th.float32
        assert examples.targets.tolist() == y.tolist()


def test_floats_are_numbers_to_predict():
    examples = Examples.of((X, X[:, 0] + 0.5))
    assert examples.n_classes is None
    assert examples.targets.shape == (6, 1)
    assert Examples.of((X, np.array([0.0, 1, 0, 1, 0, 1])), n_classes=2).n_classes == 2


def test_images_are_normalised_by_channel():
    images = np.random.default_rng(0).normal(3, 2, (50, 2, 4, 4))
    statistics = Examples.of((images, np.arange(50) % 2)).statistics()
    assert statistics.mean.shape == (2, 4, 4)
    assert np.ptp(statistics.mean[0]) == 0
    assert abs(statistics.mean.mean() - 3) < 0.3


@pytest.mark.parametrize(
    "data, message",
    [
        ((X, np.zeros(5, int)), "6 inputs and 5 targets"),
        ((X[:0], np.zeros(0, int)), "empty"),
        ((X[:, 0], np.zeros(6, int)), "give those of one number an axis"),
        ((X, np.array([0, 1, -1, 0, 1, 0])), "whole numbers from 0"),
        ((X, np.zeros(6, int)), "all examples are of class 0"),
        ((X, np.eye(6, dtype=int)), "argmax"),
        (([[1.0], [1.0, 2.0]], [0, 1]), "ragged"),
        ((np.array([["a"], ["b"]]), [0, 1]), "must be numbers"),
        ((X,), "must be a pair"),
        (3, "must be a pair"),
        ("examples.npz", "load_examples reads files"),
        (Path("examples.npz"), "load_examples reads files"),
        (X, r"got one array of the shape \(6, "),
        ({"inputs": X, "targets": [0] * 6}, "got dict"),
        (recording(), "got Recording; recorded play is for OfflineDistillation"),
        ([], "must be a pair"),
        (TensorDataset(th.zeros(0, 2), th.zeros(0)), "no items"),
        (TensorDataset(th.zeros(3, 2)), "must be pairs"),
    ],
)
def test_what_is_no_data_is_refused(data, message):
    with pytest.raises(ArgumentError, match=message):
        Examples.of(data)


def test_classes_out_of_range_are_named():
    with pytest.raises(ArgumentError, match="class 5 is out of range: there are 3 classes, from 0 to 2"):
        Examples.of((X, np.array([0, 1, 2, 0, 1, 5])), n_classes=3)


def test_nan_is_counted():
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(NotFiniteError, match="1 of 6 examples have inputs that are NaN or infinite, first number 3"):
        Examples.of((bad, np.arange(6) % 2))
    with pytest.raises(NotFiniteError, match="targets"):
        Examples.of((X, bad[:, 1]))


def test_npz(tmp_path):
    np.savez(
        tmp_path / "a.npz", x_train=np.zeros((4, 3, 3), np.uint8) + 255, y_train=[0, 1, 0, 1], x_test=X, y_test=[0, 1] * 3
    )
    examples = load_examples(tmp_path / "a.npz")
    assert examples.inputs.shape == (4, 1, 3, 3)
    assert examples.inputs.max() == 1
    assert len(load_examples(tmp_path / "a.npz", "test")) == 6
    np.savez(tmp_path / "e.npz", inputs=X, targets=[0, 1] * 3)
    with pytest.raises(ArgumentError, match="it has inputs, targets: say train for the split"):
        load_examples(tmp_path / "e.npz", "test")
    np.savez(tmp_path / "b.npz", pixels=X)
    with pytest.raises(
        ArgumentError, match="must hold the arrays `inputs` and `targets` or `x_train` and `y_train`, it has pixels"
    ):
        load_examples(tmp_path / "b.npz")
    (tmp_path / "c.npz").write_bytes(b"PK nonsense")
    with pytest.raises(ArgumentError, match="is no .npz"):
        load_examples(tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", inputs=np.array([{}], dtype=object), targets=[0])
    with pytest.raises(ArgumentError, match="is no .npz of plain numbers"):
        load_examples(tmp_path / "d.npz")
    with pytest.raises(FileNotFoundError):
        load_examples(tmp_path / "none.npz")


def idx(array, code=8):
    head = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return head + array.tobytes()


def test_idx_files_packed_or_not(tmp_path):
    images = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array([0, 1], np.uint8))))
    examples = load_examples(tmp_path)
    assert th.allclose(examples.inputs, th.tensor(images / 255.0, dtype=th.float32)[:, None])
    assert examples.n_classes == 2
    with pytest.raises(FileNotFoundError, match="t10k-images"):
        load_examples(tmp_path, "test")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images)[:-1])
    with pytest.raises(ArgumentError, match="no IDX file, or damaged"):
        load_examples(tmp_path)
