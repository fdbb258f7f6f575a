"""Arguments through JSON and back."""

import json
from enum import IntEnum

import numpy as np
import pytest

from sb3_distill.spaces.values import as_json, decode, encode, plain, same_value


class Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 0.1, "a", float("inf"), [1, [2]], (1, (2, [3])), {"a": (1,)}, {"b": 1, "a": 2}, {1: "x", (2, 3): "y"},
        {"__tuple__": [1]}, np.arange(6, dtype=np.int8).reshape(2, 3), np.array([0.1, np.nan], np.float32),
        np.array([["S", "F"]]), np.zeros((0, 2)), np.array(3.5), np.array([True]),
    ],
    ids=repr,
)  # fmt: skip
def test_a_value_comes_back_as_what_it_was(value):
    text = json.dumps(encode(value), sort_keys=True)
    assert same_value(decode(json.loads(text)), value)


@pytest.mark.parametrize("value", [np.int64(3), np.float32(0.1), np.bool_(True), np.str_("a")])
def test_numbers_of_numpy_become_python_s(value):
    assert encode(value) == value
    assert type(encode(value)) in (int, float, bool, str)


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, len, 1j, [object()], np.zeros(100_001), np.array([None]), np.longdouble(1) / 3, Colour.RED]
)
def test_what_cannot_be_written_is_refused(value):
    with pytest.raises(ValueError, match=f"a {type(value).__name__} cannot be written as JSON"):
        encode(value)


def test_a_value_that_contains_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(ValueError, match="a list cannot be written"):
        encode(value)


@pytest.mark.parametrize(
    "data",
    [
        {"__array__": [1], "dtype": "O", "shape": [1]}, {"__array__": [1], "dtype": "<i8", "shape": [2]}, {"__array__": [1]},
        {"__tuple__": 3}, {"__dict__": [[1]]}, {"__dict__": [[[], 1]]}, {"__array__": [1], "dtype": "<i8", "shape": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_malformed_objects_are_refused(data):
    with pytest.raises(ValueError, match="of the file is malformed"):
        decode(data)


def test_nesting_has_an_end():
    data = []
    for _ in range(60):
        data = [data]
    with pytest.raises(ValueError, match="nested more than 50 deep"):
        decode(data)


def test_plain_numbers_inside_of_dicts_and_lists():
    value = plain({"a": [np.int64(1), (np.float32(0.5),)], np.int64(2): np.arange(2)})
    assert json.dumps(value) == '{"a": [1, [0.5]], "2": [0, 1]}'
    marker = object()
    assert plain(marker) is marker


@pytest.mark.parametrize("one, other", [(True, 1), ((1,), [1]), (np.arange(2), [0, 1]), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_values_that_only_look_equal(one, other):
    assert not same_value(one, other)


def test_a_value_that_json_holds_stays_as_it_is():
    assert as_json({"b": [1], "a": None}) == {"b": [1], "a": None}
    assert as_json([(1,)]) == [{"__tuple__": [1]}]
