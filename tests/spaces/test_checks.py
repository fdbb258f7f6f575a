"""Which spaces are refused, and what makes two spaces differ."""

import numpy as np
import pytest
from gymnasium import spaces

from sb3_distill.spaces import (
    SpacesOnly,
    check_action_space,
    check_observation_space,
    describe,
    difference,
    same_kind,
    same_order,
    sees_images,
)

VECTOR = spaces.Box(-1, 1, (3,))
IMAGE = spaces.Box(0, 255, (3, 40, 40), np.uint8)
PIXELS_UP_TO_ONE = spaces.Box(0, 1, (3, 40, 40))


@pytest.mark.parametrize(
    "space", [VECTOR, IMAGE, spaces.Discrete(3), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(4), spaces.Dict(a=VECTOR)]
)
def test_spaces_that_are_supported(space):
    check_observation_space(space)
    check_action_space(space)


@pytest.mark.parametrize("check", [check_observation_space, check_action_space])
@pytest.mark.parametrize(
    "space, advice",
    [
        (spaces.Discrete(3, start=1), "shift it to start at 0"),
        (spaces.MultiDiscrete([2, 3], start=[0, 1]), "shift it to start at 0"),
        (spaces.MultiDiscrete([[2, 3]]), "flatten it"),
    ],
)
def test_values_that_sb3_would_encode_wrongly_are_refused_with_advice(check, space, advice):
    with pytest.raises(ValueError, match=rf"is not supported.*: {advice} with a wrapper"):
        check(space)


def test_a_part_of_a_dict_that_is_not_supported_is_named():
    with pytest.raises(ValueError, match=r"observation space Text\(1, 4.*\(key 'b'\) is not supported: leave this key out"):
        check_observation_space(spaces.Dict(a=VECTOR, b=spaces.Text(4)))


@pytest.mark.parametrize("space, advice", [(spaces.Box(-1, 1, ()), ": give it an axis"), (spaces.Box(-1, 1, (0,)), "")])
def test_observations_without_numbers_are_refused(space, advice):
    for whole in (space, spaces.Dict(a=space)):
        with pytest.raises(ValueError, match=f"is not supported{advice}"):
            check_observation_space(whole)


@pytest.mark.parametrize("key", [0, "a.b", ""])
def test_keys_that_cannot_name_a_part_of_a_network_are_refused(key):
    with pytest.raises(ValueError, match=f"the key {key!r} of the observation space .*: give it a name without dots"):
        check_observation_space(spaces.Dict({key: VECTOR}))


@pytest.mark.parametrize("nested", [spaces.Dict(a=spaces.Dict(b=VECTOR)), spaces.Dict(a=spaces.Tuple((VECTOR,)))])
def test_nested_spaces_are_left_to_sb3s_own_message(nested):
    check_observation_space(nested)


@pytest.mark.parametrize(
    "one, other, same",
    [
        (VECTOR, spaces.Box(-9, 9, (3,)), True),  # bounds do not concern a network
        (VECTOR, spaces.Box(-1, 1, (4,)), False),
        (IMAGE, PIXELS_UP_TO_ONE, False),
        (spaces.Discrete(2), spaces.Discrete(2), True),
        (spaces.Discrete(2), spaces.Discrete(3), False),
        (spaces.Dict(a=VECTOR), spaces.Dict(a=spaces.Box(-9, 9, (3,))), True),
        (spaces.Dict(a=VECTOR), spaces.Dict(b=VECTOR), False),
        (spaces.Dict(a=VECTOR), VECTOR, False),
        (spaces.Discrete(2), spaces.Discrete(2, dtype=np.int32), True),
        (spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([2, 3], dtype=np.int32), True),
        (spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([2, 2]), False),
    ],
)
def test_spaces_are_of_the_same_kind_if_one_network_fits_both(one, other, same):
    assert same_kind(one, other) is same_kind(other, one) is same


def test_a_difference_is_told_in_words():
    assert difference((VECTOR, spaces.Discrete(2)), (VECTOR, spaces.Discrete(2))) is None
    assert difference((VECTOR, spaces.Discrete(2)), (VECTOR, spaces.Discrete(3))) == ("action", "Discrete(2)", "Discrete(3)")
    name, one, other = difference((IMAGE, spaces.Discrete(2)), (PIXELS_UP_TO_ONE, spaces.Discrete(3)))
    assert (name, one, other) == ("observation", "Box(3, 40, 40) of bytes", "Box(3, 40, 40)")


def test_bounds_count_for_actions_alone():
    wide = spaces.Box(-2, 2, (3,))
    assert difference((VECTOR, VECTOR), (wide, VECTOR)) is None
    assert difference((VECTOR, VECTOR), (VECTOR, wide)) == ("action", "Box(3,) in [-1, 1]", "Box(3,) in [-2, 2]")
    uneven = spaces.Box(np.array([-1, -1, -2], np.float32), np.ones(3, np.float32))
    assert difference((VECTOR, VECTOR), (VECTOR, uneven))[2] == "Box(3,) in [[-1.0, -1.0, -2.0], [1.0, 1.0, 1.0]]"


def test_the_order_of_keys_is_told_apart():
    one, other = spaces.Dict(a=VECTOR, b=VECTOR), spaces.Dict(b=VECTOR, a=VECTOR)
    assert same_kind(one, other)
    assert not same_order(one, other)
    assert same_order(VECTOR, VECTOR)


def test_descriptions_say_what_a_network_must_fit():
    assert describe(spaces.MultiDiscrete([2, 3])) == "MultiDiscrete([2, 3])"
    assert describe(spaces.Dict(a=VECTOR, b=spaces.Discrete(2))) == "Dict(a: Box(3,), b: Discrete(2))"


def test_images_are_seen_alone_and_in_a_dict():
    assert sees_images(IMAGE)
    assert sees_images(spaces.Dict(a=VECTOR, b=IMAGE))
    assert not sees_images(spaces.Dict(a=VECTOR, b=spaces.Discrete(2)))


def test_the_stub_environment_carries_its_spaces():
    env = SpacesOnly(VECTOR, spaces.Discrete(2))
    assert env.observation_space is VECTOR
    assert env.action_space == spaces.Discrete(2)
