"""Labelled examples: what a supervised task is made of."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch as th
from gymnasium import spaces
from torch.utils.data import Dataset

from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.normalization import Normalization
from sb3_distill.errors import ArgumentError, DatasetError, NotFiniteError
from sb3_distill.spaces.sizes import n_outputs
from sb3_distill.typing import Array, Json, Shape, Space

MOST_CLASSES = 100_000
"""Largest class: one output for each has to be affordable."""
WANTED = "data must be a pair (inputs, targets) or a torch dataset"
"""Beginning of messages about what is no data."""
Data: TypeAlias = "Examples | Dataset[Any] | Sequence[Any]"
"""Examples, a torch dataset of pairs, or a pair of arrays ``(inputs, targets)``."""


@dataclass(frozen=True)
class Examples:
    """
    Inputs and targets of a supervised task; made by ``Examples.of``.

    :param inputs: ``(n, *shape)``, as they come, float32
    :param targets: classes ``(n,)`` (long), or numbers to predict ``(n, d)`` (float32)
    :param n_classes: number of classes; ``None`` for regression
    """

    inputs: th.Tensor
    targets: th.Tensor
    n_classes: int | None

    @classmethod
    def of(cls, data: Data, n_classes: int | None = None) -> "Examples":
        """
        :param data: examples, a pair of arrays or tensors ``(inputs, targets)``, or a ``torch.utils.data.Dataset`` whose
            items are such pairs. Targets of whole numbers are classes from 0, all others are numbers to predict
        :param n_classes: number of classes; ``None`` for the largest class of the data plus 1
        :return: the examples, checked
        :raises ValueError: if there are none, inputs differ in shape, their number is not that of the targets, or a class is
            out of range
        :raises FloatingPointError: for NaN or infinite numbers
        """
        if isinstance(data, cls):
            return data if n_classes in (None, data.n_classes) else cls.of((data.inputs, data.targets), n_classes)
        inputs, targets = _pair(data)
        if len(inputs) != len(targets):
            raise ArgumentError(f"the data have {len(inputs)} inputs and {len(targets)} targets")
        if inputs.ndim == 1:
            raise ArgumentError("inputs must be (n, *shape): give those of one number an axis, inputs[:, None]")
        if len(inputs) == 0 or 0 in inputs.shape:
            raise ArgumentError(f"the data are empty: inputs have the shape {inputs.shape}")
        for name, values in (("inputs", inputs), ("targets", targets)):
            bad = np.logical_not(np.isfinite(values).reshape(len(values), -1).all(axis=1))
            if bad.any():
                raise NotFiniteError(
                    f"{bad.sum()} of {len(bad)} examples have {name} that are NaN or infinite, first number {bad.argmax()}"
                )
        as_tensor = th.as_tensor(np.ascontiguousarray(inputs, np.float32))
        if targets.dtype.kind not in "iub" and n_classes is None:
            return cls(as_tensor, th.as_tensor(targets.reshape(len(targets), -1), dtype=th.float32), None)
        return cls(as_tensor, *_classes(targets, n_classes))

    @classmethod
    def unlabelled(cls, inputs: object) -> "Examples":
        """
        :param inputs: an array, a tensor, or a sequence of these ``(n, *shape)``
        :return: the inputs as examples, whose targets are zeros that nobody looks at
        :raises ValueError: see ``of``
        :raises FloatingPointError: see ``of``
        """
        array = np.atleast_1d(_array("inputs", inputs))
        return cls.of((array, np.zeros(len(array))))

    def check_inputs(self, input_space: Space) -> None:
        """
        :param input_space: inputs that a dataset was made for
        :raises ValueError: if these inputs have another shape
        """
        if self.input_space.shape != input_space.shape:
            raise ArgumentError(
                f"the dataset was made for inputs of the shape {input_space.shape}, the data have {self.shape}"
            )

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def shape(self) -> Shape:
        """Shape of one input."""
        return tuple(self.inputs.shape[1:])

    @property
    def input_space(self) -> Space:
        """The inputs as an observation space without bounds: networks take the numbers as they are."""
        return spaces.Box(-np.inf, np.inf, self.shape, np.float32)

    @property
    def target_space(self) -> Space:
        """The classes, or the numbers to predict, as an action space."""
        if self.n_classes is not None:
            return spaces.Discrete(self.n_classes)
        return spaces.Box(-np.inf, np.inf, tuple(self.targets.shape[1:]), np.float32)

    def statistics(self) -> Normalization:
        """Mean and variance of the inputs: of each number of a vector, of each channel of an image ``(c, h, w)``."""
        axes = (0, 2, 3) if len(self.shape) == 3 else (0,)
        values = self.inputs.double().numpy()
        mean, var = (
            np.broadcast_to(part, self.shape).copy()
            for part in (values.mean(axes, keepdims=True)[0], values.var(axes, keepdims=True)[0])
        )
        return Normalization(mean, np.where(var > 0, var, 1.0))

    def standardised(self) -> tuple["Examples", Json]:
        """
        :return: the same with targets of mean 0 and deviation 1, and ``target_mean`` and ``target_std`` as lists, for the
            file; classes stay as they are, and need no such lists
        """
        if self.n_classes is not None:
            return self, {}
        mean, std = self.targets.mean(dim=0), self.targets.std(dim=0, correction=0)
        std = th.where(std > 0, std, 1.0)
        scale = {"target_mean": mean.tolist(), "target_std": std.tolist()}
        return replace(self, targets=(self.targets - mean) / std), scale

    def check_like(self, input_space: Space, target_space: Space) -> None:
        """
        :param input_space: inputs that a dataset was made for
        :param target_space: likewise, its targets
        :raises ValueError: if these examples are of another kind
        """
        self.check_inputs(input_space)
        if type(self.target_space) is not type(target_space):
            kinds = [
                ("numbers" if isinstance(space, spaces.Box) else "classes") for space in (target_space, self.target_space)
            ]
            raise ArgumentError(f"the dataset was made to predict {kinds[0]}, the targets of the data are {kinds[1]}")
        if isinstance(target_space, spaces.Discrete) and int(self.targets.max()) >= target_space.n:
            raise ArgumentError(
                f"the dataset was made for {target_space.n} classes, the data have class {int(self.targets.max())}"
            )
        if isinstance(target_space, spaces.Box) and self.target_space.shape != target_space.shape:
            raise ArgumentError(
                f"the dataset predicts {target_space.shape[0]} numbers, the targets have {self.targets.shape[1]}"
            )


def as_seen(info: DatasetInfo, inputs: th.Tensor) -> th.Tensor:
    """
    :param info: description of a dataset
    :param inputs: as they come ``(n, *shape)``
    :return: the same as networks are taught to see them
    """
    return inputs if info.normalization is None else th.as_tensor(np.asarray(info.normalization(inputs.numpy())))


def target_scale(info: DatasetInfo) -> tuple[th.Tensor, th.Tensor]:
    """
    :param info: description of a dataset
    :return: what outputs are multiplied by, and what is added then, to predict targets as they came ``(n_outputs,)``
    :raises DatasetError: for a malformed description
    """
    width = n_outputs(info.action_space)
    parts = []
    for name, default in (("target_std", 1.0), ("target_mean", 0.0)):
        values = info.data.get(name, [default] * width)
        is_plain = (
            isinstance(values, list) and len(values) == width and all(isinstance(value, (int, float)) for value in values)
        )
        if not is_plain or not np.isfinite(values).all():
            raise DatasetError(f"`{name}` in the metadata must be {width} finite numbers")
        parts.append(th.tensor(values, dtype=th.float32))
    return parts[0], parts[1]


def _pair(data: object) -> tuple[Array, Array]:
    """Inputs and targets as arrays."""
    if isinstance(data, (str, os.PathLike)):
        raise ArgumentError(f"{WANTED}, got {str(data)!r}: load_examples reads files")
    if isinstance(data, (np.ndarray, th.Tensor)) and len(data) != 2:
        raise ArgumentError(f"{WANTED}, got one array of the shape {tuple(data.shape)}")
    if isinstance(data, (Sequence, np.ndarray, th.Tensor)):
        if len(data) != 2:
            raise ArgumentError(f"{WANTED}, got {len(data)} parts")
        return _array("inputs", data[0]), _array("targets", data[1])
    if isinstance(data, Mapping) or not hasattr(data, "__getitem__") or not hasattr(data, "__len__"):
        raise ArgumentError(f"{WANTED} with a length, got {type(data).__name__}; recorded play is for OfflineDistillation")
    try:
        items = [data[i] for i in range(len(data))]
    except (KeyError, IndexError, TypeError) as error:
        raise ArgumentError(f"{WANTED}, got {type(data).__name__}, which has no items by number: {error!r}") from error
    if not items:
        raise ArgumentError("the data are empty: the dataset has no items")
    if any(not isinstance(item, Sequence) or len(item) != 2 for item in items):
        raise ArgumentError("items of the dataset must be pairs (input, target)")
    inputs, targets = zip(*items, strict=True)
    return _array("inputs", inputs), _array("targets", targets)


def _array(name: str, values: object) -> Array:
    try:
        if isinstance(values, th.Tensor):
            array = values.detach().cpu().numpy()
        elif isinstance(values, Sequence) and values and isinstance(values[0], th.Tensor):
            array = np.stack([value.detach().cpu().numpy() for value in values])
        else:
            array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"{name} of the data are ragged: all must have one shape ({error})") from error
    if array.dtype.kind not in "biuf":
        raise ArgumentError(
            f"{name} of the data must be numbers of one shape, got {array.dtype}: images need ToTensor() for instance"
        )
    return array


def _classes(targets: Array, n_classes: int | None) -> tuple[th.Tensor, int]:
    """Classes as long integers, and their number."""
    flat = targets.reshape(len(targets), -1)
    if flat.shape[1] != 1:
        raise ArgumentError(f"classes must be one number for each example, got {targets.shape}; one-hot rows need argmax(1)")
    if (flat != np.floor(flat)).any() or flat.min() < 0:
        raise ArgumentError(f"classes must be whole numbers from 0, got {flat.min():g} to {flat.max():g}")
    n = int(flat.max()) + 1 if n_classes is None else n_classes
    if n_classes is None and n < 2:
        raise ArgumentError("all examples are of class 0: say how many classes there are with `n_classes`")
    if isinstance(n, bool) or not isinstance(n, int) or not 2 <= n <= MOST_CLASSES:
        raise ArgumentError(
            f"`n_classes` must be from 2 to {MOST_CLASSES:,}, got {n}: targets of float are numbers to predict"
        )
    if flat.max() >= n:
        raise ArgumentError(f"class {int(flat.max())} is out of range: there are {n} classes, from 0 to {n - 1}")
    return th.as_tensor(flat[:, 0].astype(np.int64)), n
