"""Examples in files: NPZ of NumPy, and the IDX files of MNIST and its kin."""

import gzip
import os
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np

from sb3_distill.errors import ArgumentError
from sb3_distill.supervised.examples import Examples
from sb3_distill.typing import Array

Split = Literal["train", "test"]
NAMES = {
    "train": (("inputs", "targets"), ("x_train", "y_train"), ("X_train", "y_train"), ("x", "y"), ("X", "y")),
    "test": (("test_inputs", "test_targets"), ("x_test", "y_test"), ("X_test", "y_test")),
}
"""Names of arrays in an NPZ, inputs and targets; the first pair that is there counts."""
IDX = {"train": "train", "test": "t10k"}
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
"""Types of numbers in an IDX file by their code."""


def load_examples(path: str | os.PathLike[str], split: Split = "train", n_classes: int | None = None) -> Examples:
    """
    :param path: an ``.npz`` with the arrays ``inputs`` and ``targets`` (or ``x_train`` and ``y_train``; for the split
        ``"test"`` ``test_inputs`` and ``test_targets``, or ``x_test`` and ``y_test``), or a folder with the IDX files of
        MNIST, packed by gzip or not. Images without channels get one; bytes of images are scaled to [0, 1]
    :param split: which part
    :param n_classes: see ``Examples.of``
    :return: the examples
    :raises FileNotFoundError: if there is no such file
    :raises ValueError: if it holds no examples
    """
    path = Path(path)
    if split not in NAMES:
        raise ArgumentError(f"`split` must be one of {', '.join(NAMES)}, got {split!r}")
    if path.is_dir():
        inputs, targets = (_read_idx(_idx_file(path, split, kind)) for kind in ("images", "labels"))
    else:
        inputs, targets = _read_npz(path, split)
    if inputs.ndim == 3:
        inputs = inputs[:, None]
    if inputs.dtype == np.uint8 and inputs.ndim == 4:
        inputs = inputs.astype(np.float32) / 255
    return Examples.of((inputs, targets), n_classes)


def _read_npz(path: Path, split: Split) -> tuple[Array, Array]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for names in NAMES[split]:
                if all(name in arrays for name in names):
                    return arrays[names[0]], arrays[names[1]]
            found = ", ".join(arrays) or "nothing"
            other = "train" if split == "test" else "test"
            has_other = any(all(name in arrays for name in names) for names in NAMES[other])
    except (ValueError, zipfile.BadZipFile, AttributeError, EOFError, TypeError) as error:
        raise ArgumentError(f"{path} is no .npz of plain numbers: {error}") from error
    wanted = " or ".join(f"`{x}` and `{y}`" for x, y in NAMES[split][:2])
    raise ArgumentError(
        f"{path} must hold the arrays {wanted}, it has {found}" + (f": say {other} for the split" if has_other else "")
    )


def _idx_file(folder: Path, split: Split, kind: str) -> Path:
    found = sorted(folder.glob(f"{IDX[split]}-{kind}*ubyte*"))
    if not found:
        raise FileNotFoundError(f"{folder} has no IDX file {IDX[split]}-{kind}-idx*-ubyte, with or without .gz")
    return found[0]


def _read_idx(path: Path) -> Array:
    """Two bytes of zero, one that says the type, one the number of axes; sizes of the axes as four bytes each; the numbers."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if content[:2] != b"\0\0" or content[2] not in IDX_TYPES:
            raise ValueError("it does not begin as IDX files do")
        n_axes = content[3]
        shape = np.frombuffer(content, ">u4", n_axes, 4).astype(int)
        values = np.frombuffer(content, IDX_TYPES[content[2]], -1, 4 + 4 * n_axes).reshape(shape)
        return values.astype(values.dtype.newbyteorder("="))
    except (ValueError, IndexError, EOFError, OSError) as error:
        raise ArgumentError(f"{path} is no IDX file, or damaged: {error}") from error
