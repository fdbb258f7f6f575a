"""
Arguments as JSON, from which they come back as what they were.

JSON has no tuples, no arrays, and no dicts whose keys are numbers or in an order that counts. ``encode`` writes these as
objects with one of ``TAGS``; a number of NumPy is written as the number that it is.
"""

import math
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np

from sb3_distill.errors import ArgumentError, SB3DistillError
from sb3_distill.typing import Array

TUPLE, DICT, ARRAY = "__tuple__", "__dict__", "__array__"
TAGS = (TUPLE, DICT, ARRAY)
"""The key of an object that stands for a tuple, for a dict (as pairs), or for an array (with its ``dtype`` and ``shape``)."""
LARGEST_ARRAY = 100_000
"""Entries of the largest array that a file says, in words that a person could read."""
LARGEST_TEXT = 1_000
"""Characters of the longest text in such an array: each entry takes the memory of the longest."""
LARGEST_DEPTH = 50
"""So deep may the values of a file be nested."""
LARGEST_NUMBER = 2**63
"""Whole numbers of a file have 64 bits, with or without a sign."""


def plain(value: object) -> object:
    """
    :param value: anything
    :return: the same, with NumPy's numbers and texts as Python's, and arrays of them as lists, also inside of dicts and lists
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.dtype.kind in "biufU"):
        return value.tolist()
    if type(value) is dict:
        return {plain(key): plain(entry) for key, entry in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(entry) for entry in value)  # type: ignore[call-arg, attr-defined]
    return value


def encode(value: object) -> object:
    """
    :param value: an argument
    :return: what JSON holds of it; ``decode`` makes of that what it was
    :raises ValueError: if that is not possible
    """
    try:
        encoded = _encode(value)
        if same_value(decode(encoded), plain(value) if isinstance(value, np.generic) else value):
            return encoded
    except (RecursionError, SB3DistillError):
        pass
    raise ArgumentError(f"a {type(value).__name__} cannot be written as JSON")


def as_json(value: object) -> object:
    """A value that JSON can hold, as it is; any other one as ``encode`` writes it."""
    is_pure = json_types(value) <= {dict, list, str, int, float, bool, type(None)}
    return value if is_pure else encode(value)


def json_types(value: object) -> set[type]:
    """The types of a value and of all that is inside of its dicts and lists."""
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return {type(value)}.union(*(json_types(part) for part in parts))


def decode(value: object, depth: int = 0) -> object:
    """
    :param value: what ``encode`` returned
    :param depth: how deep the value is nested
    :raises ValueError: if an object with a tag is malformed
    """
    if depth > LARGEST_DEPTH:
        raise ArgumentError(f"a value is nested more than {LARGEST_DEPTH} deep")
    if isinstance(value, list):
        return [decode(entry, depth + 1) for entry in value]
    if not isinstance(value, dict):
        return value
    tag = next((tag for tag in TAGS if tag in value), None)
    try:
        if tag == TUPLE:
            return tuple(decode(entry, depth + 1) for entry in value[TUPLE])
        if tag == DICT:
            return {decode(key, depth + 1): decode(entry, depth + 1) for key, entry in value[DICT]}
        if tag == ARRAY:
            return _array(value)
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise ArgumentError(f"a {tag} of the file is malformed: {error}") from error
    return {key: decode(entry, depth + 1) for key, entry in value.items()}


def same_value(one: object, other: object) -> bool:
    """Whether two values are equal: arrays in every entry and in type, a tuple is no list, True is not 1, NaN is NaN."""
    if one is other:
        return True
    if isinstance(one, (bool, np.bool_)) != isinstance(other, (bool, np.bool_)):
        return False
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return (
            isinstance(one, np.ndarray)
            and isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        )
    numeric = (int, float, np.integer, np.floating)
    if isinstance(one, numeric) and isinstance(other, numeric):
        return bool(one == other) or (math.isnan(one) and math.isnan(other))
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(same_value(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same_value, one, other))
    try:
        return bool(one == other) or pickle.dumps(one) == pickle.dumps(other)
    except Exception:  # what has no truth and no pickle is another thing
        return False


def _encode(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.tolist()
    if type(value) is int and not -LARGEST_NUMBER <= value < 2 * LARGEST_NUMBER:
        raise ArgumentError("a number beyond 64 bits cannot be written as JSON")
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray) and _is_sayable(value.dtype) and value.size <= LARGEST_ARRAY:
        return {ARRAY: value.ravel().tolist(), "dtype": value.dtype.str, "shape": list(value.shape)}
    if type(value) is tuple:
        return {TUPLE: [_encode(entry) for entry in value]}
    if type(value) is list:
        return [_encode(entry) for entry in value]
    if type(value) is dict:
        # The object of a file has its keys in alphabetical order.
        if all(type(key) is str and key not in TAGS for key in value) and list(value) == sorted(value):
            return {key: _encode(entry) for key, entry in value.items()}
        return {DICT: [[_encode(key), _encode(entry)] for key, entry in value.items()]}
    raise ArgumentError(f"a {type(value).__name__} cannot be written as JSON")


def _array(value: Mapping[str, object]) -> Array:
    dtype, entries = np.dtype(str(value["dtype"])), value[ARRAY]
    if not _is_sayable(dtype) or not isinstance(entries, list) or len(entries) > LARGEST_ARRAY:
        raise ValueError(f"{dtype} is no type of numbers or short texts, or there are too many of them")
    if any(isinstance(entry, (list, dict)) for entry in entries):
        raise ValueError("its entries are no numbers or texts")
    shape = value["shape"]
    if not isinstance(shape, list):
        raise ValueError(f"a shape is a list, got {shape!r}")
    return np.array(entries, dtype=dtype).reshape(shape)


def _is_sayable(dtype: np.dtype[Any]) -> bool:
    """Whether arrays of this type are written: numbers, and texts that are not long."""
    return dtype.kind in "biuf" or (dtype.kind == "U" and dtype.itemsize <= 4 * LARGEST_TEXT)
