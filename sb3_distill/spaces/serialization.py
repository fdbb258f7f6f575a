"""Spaces as JSON objects, so that a dataset file needs no pickle."""

from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_distill.errors import ArgumentError
from sb3_distill.typing import Array, Json, Space


def space_to_json(space: Space) -> Json:
    """
    :param space: ``Box``, ``Discrete``, ``MultiDiscrete``, ``MultiBinary``, or a ``Dict`` of these
    :return: a JSON object that ``space_from_json`` reads back; keys for rare things (another type of whole numbers, an order
        of keys) are there only where they are needed
    :raises ValueError: for any other space
    """
    if isinstance(space, spaces.Box):
        bounds = {"low": _bound_to_json(space.low), "high": _bound_to_json(space.high)}
        return {"type": "Box", "shape": list(space.shape), "dtype": str(space.dtype), **bounds}
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start), **_dtype_to_json(space)}
    if isinstance(space, spaces.MultiDiscrete):
        start = {"start": space.start.tolist()} if np.any(space.start != 0) else {}
        return {"type": "MultiDiscrete", "nvec": space.nvec.tolist(), **start, **_dtype_to_json(space)}
    if isinstance(space, spaces.MultiBinary):
        sizes = space.n if np.ndim(space.n) else int(space.n)  # type: ignore[arg-type]
        return {"type": "MultiBinary", "n": sizes if isinstance(sizes, int) else [int(size) for size in sizes]}
    if isinstance(space, spaces.Dict):
        return _dict_to_json(space)
    raise ArgumentError(f"a {type(space).__name__} space cannot be stored in a dataset file")


def _dict_to_json(space: spaces.Dict) -> Json:
    parts: Json = {}
    for key, part in space.spaces.items():
        try:
            parts[key] = space_to_json(part)
        except ArgumentError as error:
            raise ArgumentError(f"{error} (key {key!r})") from error
    # Networks see the keys in this order, and an object of JSON has none.
    order = {} if list(parts) == sorted(parts) else {"keys": list(parts)}
    return {"type": "Dict", "spaces": parts, **order}


def space_from_json(data: Json) -> Space:
    """
    :param data: what ``space_to_json`` returned
    :raises ValueError: for an unknown kind of space
    """
    kind = data["type"]
    if kind == "Box":
        shape, dtype = tuple(data["shape"]), np.dtype(data["dtype"])
        low, high = (np.broadcast_to(_bound_from_json(data[end], dtype), shape) for end in ("low", "high"))
        return spaces.Box(low.copy(), high.copy(), shape, dtype.type)
    if kind == "Discrete":
        return spaces.Discrete(data["n"], start=data["start"], dtype=_dtype_of(data))
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(data["nvec"], dtype=_dtype_of(data), start=data.get("start"))
    if kind == "MultiBinary":
        return spaces.MultiBinary(data["n"])
    if kind == "Dict":
        parts = data["spaces"]
        keys = data.get("keys", sorted(parts))
        if sorted(keys) != sorted(parts):
            raise ArgumentError(f"the keys of a Dict space are {', '.join(sorted(parts))}, their order names others: {keys}")
        return spaces.Dict([(key, space_from_json(parts[key])) for key in keys])
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
    if bound.dtype.kind == "b":
        bound = bound.astype(np.uint8)
    values = np.unique(bound)
    if len(values) == 1:
        return str(values[0])  # strings, since strict JSON has no infinity
    return bound.astype(str).tolist()


def _bound_from_json(bound: object, dtype: "np.dtype[Any]") -> Array:
    """Numbers of their own type, since a whole number or a long one is not exact in double precision."""
    if dtype.kind not in "iub":
        return np.array(bound).astype(dtype)
    texts = np.array(bound)
    try:
        whole = [int(text) for text in texts.ravel().tolist()]
    except ValueError:  # "0.0"
        return texts.astype(float).astype(dtype)
    return np.array(whole, dtype=dtype if dtype.kind != "b" else np.uint8).astype(dtype).reshape(texts.shape)


def _dtype_to_json(space: Space) -> Json:
    """The type of whole numbers, where it is not Gymnasium's default."""
    return {} if space.dtype == np.int64 else {"dtype": str(space.dtype)}


def _dtype_of(data: Json) -> type[np.integer[Any]]:
    dtype: type[np.generic] = np.dtype(data.get("dtype", "int64")).type
    if not issubclass(dtype, np.integer):
        raise ArgumentError(f"a discrete space counts in whole numbers, not in {dtype.__name__}")
    return dtype
