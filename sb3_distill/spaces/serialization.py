"""Spaces as JSON objects, so that a dataset file needs no pickle."""

import numpy as np
from gymnasium import spaces

from sb3_distill.errors import ArgumentError
from sb3_distill.typing import Array, Json, Space


def space_to_json(space: Space) -> Json:
    """
    :param space: ``Box``, ``Discrete``, ``MultiDiscrete``, ``MultiBinary``, or a ``Dict`` of these
    :return: a JSON object that ``space_from_json`` reads back
    :raises ValueError: for any other space
    """
    if isinstance(space, spaces.Box):
        bounds = {"low": _bound_to_json(space.low), "high": _bound_to_json(space.high)}
        return {"type": "Box", "shape": list(space.shape), "dtype": str(space.dtype), **bounds}
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"type": "MultiDiscrete", "nvec": space.nvec.tolist()}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": space.n if isinstance(space.n, int) else [int(size) for size in space.n]}
    if isinstance(space, spaces.Dict):
        return {"type": "Dict", "spaces": {key: space_to_json(part) for key, part in space.spaces.items()}}
    raise ArgumentError(f"a {type(space).__name__} space cannot be stored in a dataset file")


def space_from_json(data: Json) -> Space:
    """
    :param data: what ``space_to_json`` returned
    :raises ValueError: for an unknown kind of space
    """
    kind = data["type"]
    if kind == "Box":
        shape, dtype = tuple(data["shape"]), np.dtype(data["dtype"])
        low, high = (np.broadcast_to(np.array(data[end], dtype=float), shape) for end in ("low", "high"))
        return spaces.Box(low.astype(dtype), high.astype(dtype), shape, dtype.type)
    if kind == "Discrete":
        return spaces.Discrete(data["n"], start=data["start"])
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(data["nvec"])
    if kind == "MultiBinary":
        return spaces.MultiBinary(data["n"])
    if kind == "Dict":
        return spaces.Dict({key: space_from_json(part) for key, part in data["spaces"].items()})
    raise ArgumentError(f"unknown kind of space {kind!r}")


def is_json(value: object) -> bool:
    """Whether JSON can express a value (tuples become lists)."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_json(entry) for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return all(is_json(entry) for entry in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _bound_to_json(bound: Array) -> object:
    """A bound of a ``Box`` as one string where all entries are equal, as for images, else as nested lists of strings."""
    values = np.unique(bound)
    if len(values) == 1:
        return str(values[0])  # strings, since strict JSON has no infinity
    return bound.astype(str).tolist()
