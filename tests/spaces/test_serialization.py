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
        spaces.Dict(a=spaces.Box(-1, 1, (2,)), b=spaces.Dict(c=spaces.Discrete(2))),
    ],
    ids=str,
)
def test_a_space_comes_back_through_json(space):
    text = json.dumps(space_to_json(space), allow_nan=False)
    restored = space_from_json(json.loads(text))
    assert restored == space
    assert restored.dtype == space.dtype


def test_one_bound_for_all_pixels_is_one_string():
    data = space_to_json(spaces.Box(0, 255, (4, 84, 84), np.uint8))
    assert (data["low"], data["high"]) == ("0", "255")


def test_other_spaces_are_refused():
    with pytest.raises(ValueError, match="a Text space cannot be stored"):
        space_to_json(spaces.Dict(a=spaces.Text(3)))
    with pytest.raises(ValueError, match="unknown kind of space 'Text'"):
        space_from_json({"type": "Text"})


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "a", [1, (2, "b")], {"a": {"b": [None]}}])
def test_what_json_can_express(value):
    assert is_json(value)


@pytest.mark.parametrize("value", [object(), {1: 2}, [np.float32(1)], {"a": {1, 2}}, len])
def test_what_json_cannot_express(value):
    assert not is_json(value)
