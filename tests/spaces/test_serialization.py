"""Spaces through strict JSON and back."""

import json

import numpy as np
import pytest
from gymnasium import spaces

from sb3_distill.spaces import is_json, space_from_json, space_to_json


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 255, (4, 84, 84), np.uint8),
        spaces.Box(-np.inf, np.inf, (3,)),
        spaces.Box(np.array([-0.1, -np.inf]), np.array([1 / 3, np.inf]), dtype=np.float64),
        spaces.Box(np.float32(-0.1), np.float32(0.1), ()),
        spaces.Discrete(3),
        spaces.Discrete(3, start=-1),
        spaces.MultiDiscrete([2, 3]),
        spaces.MultiBinary(3),
        spaces.MultiBinary([2, 3]),
        spaces.Box(0, np.iinfo(np.int64).max, (2,), np.int64),
        spaces.Box(0, np.array([2**60 + 1, 2**64 - 1], np.uint64), (2,), np.uint64),
        spaces.Box(-np.finfo(np.float64).max, np.nextafter(1.0, 2.0), (2,), np.float64),
        spaces.Box(-1, 1, (3,), np.float16),
        spaces.Discrete(3, dtype=np.int32),
        spaces.Discrete(3, start=2, dtype=np.uint8),
        spaces.MultiDiscrete([2, 3], dtype=np.int32, start=[0, 1]),
        spaces.Dict(a=spaces.Box(-1, 1, (2,)), b=spaces.Dict(c=spaces.Discrete(2))),
    ],
    ids=str,
)
def test_a_space_comes_back_through_json(space):
    text = json.dumps(space_to_json(space), allow_nan=False)
    restored = space_from_json(json.loads(text))
    assert restored == space
    assert restored.dtype == space.dtype
    if isinstance(space, spaces.Box):
        np.testing.assert_array_equal(restored.low, space.low)
        np.testing.assert_array_equal(restored.high, space.high)


def test_keys_keep_their_order():
    space = spaces.Dict(b=spaces.Discrete(2), a=spaces.Discrete(3))
    data = json.loads(json.dumps(space_to_json(space), sort_keys=True))
    assert list(space_from_json(data)) == ["b", "a"]
    assert "keys" not in space_to_json(spaces.Dict(a=space["a"], b=space["b"]))  # as version 0.1.0 writes it
    data["keys"] = ["b", "c"]
    with pytest.raises(ValueError, match="their order names others"):
        space_from_json(data)


def test_discrete_spaces_count_in_whole_numbers():
    with pytest.raises(ValueError, match="counts in whole numbers, not in float32"):
        space_from_json({"type": "Discrete", "n": 3, "start": 0, "dtype": "float32"})


def test_whole_bounds_that_are_written_as_real_numbers():
    data = {"type": "Box", "shape": [2], "dtype": "uint8", "low": "0.0", "high": "255.0"}
    assert space_from_json(data) == spaces.Box(0, 255, (2,), np.uint8)


def test_one_bound_for_all_pixels_is_one_string():
    data = space_to_json(spaces.Box(0, 255, (4, 84, 84), np.uint8))
    assert (data["low"], data["high"]) == ("0", "255")


def test_other_spaces_are_refused():
    with pytest.raises(ValueError, match="a Text space cannot be stored.*key 'a'"):
        space_to_json(spaces.Dict(a=spaces.Text(3)))
    with pytest.raises(ValueError, match="unknown kind of space 'Text'"):
        space_from_json({"type": "Text"})


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "a", [1, (2, "b")], {"a": {"b": [None]}}])
def test_what_json_can_express(value):
    assert is_json(value)


@pytest.mark.parametrize("value", [object(), {1: 2}, [np.float32(1)], {"a": {1, 2}}, len])
def test_what_json_cannot_express(value):
    assert not is_json(value)
