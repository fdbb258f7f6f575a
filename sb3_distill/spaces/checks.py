"""Which spaces are supported, whether two are of the same kind, and a space in words."""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space

from sb3_distill.errors import ArgumentError
from sb3_distill.typing import Env, Space

SpacePair: TypeAlias = tuple[Space, Space]
"""An observation space and an action space."""

SUPPORTED_ACTION_SPACES = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


class SpacesOnly(Env):
    """Stub environment that only carries spaces."""

    def __init__(self, observation_space: Space, action_space: Space) -> None:
        self.observation_space, self.action_space = observation_space, action_space


def sees_images(space: Space) -> bool:
    """Whether observations are images, or contain some."""
    return any(len(part.shape or ()) == 3 for part in _parts(space))


def check_observation_space(space: Space) -> None:
    """
    :raises ValueError: for a space that SB3's policies do not take, or take silently wrong
    """
    for key, part in space.spaces.items() if isinstance(space, spaces.Dict) else [(None, space)]:
        is_nested = isinstance(part, (spaces.Dict, spaces.Tuple))  # SB3 has its own message for these
        is_supported = isinstance(part, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary))
        if not (is_nested or is_supported) or _counts_oddly(part) or _has_no_numbers(part):
            named = "" if key is None else f" (key {key!r})"
            advice = _advice(part) or ("" if key is None else ": leave this key out with a wrapper (FilterObservation)")
            raise ArgumentError(f"observation space {' '.join(str(part).split())}{named} is not supported{advice}")
        if key is not None and (not isinstance(key, str) or not key or "." in key):
            raise ArgumentError(
                f"the key {key!r} of the observation space is not supported, since it is to name a part of a network: give it "
                "a name without dots, by a wrapper"
            )


def check_action_space(space: Space) -> None:
    """
    :raises ValueError: for a space that SB3's policies take silently wrong
    """
    if _counts_oddly(space):
        raise ArgumentError(f"action space is not supported: {' '.join(str(space).split())}{_advice(space)}")


def _parts(space: Space) -> Iterable[Space]:
    """The spaces of a ``Dict``, or the space itself."""
    return space.spaces.values() if isinstance(space, spaces.Dict) else [space]


def _counts_oddly(space: Space) -> bool:
    """Whether values do not count from 0, or are not in one row: SB3 would encode them wrongly."""
    if isinstance(space, spaces.MultiDiscrete):
        return space.nvec.ndim != 1 or bool(np.any(space.start != 0))
    return isinstance(space, spaces.Discrete) and space.start != 0


def _has_no_numbers(space: Space) -> bool:
    """Whether an observation is no row of numbers: it has no axis, or an empty one."""
    return isinstance(space, spaces.Box) and (space.shape == () or 0 in space.shape)


def _advice(space: Space) -> str:
    if isinstance(space, spaces.Box) and space.shape == ():
        return ": give it an axis with a wrapper (ReshapeObservation)"
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim != 1:
        return ": flatten it with a wrapper"
    return ": shift it to start at 0 with a wrapper" if _counts_oddly(space) else ""


def same_kind(one: Space, other: Space) -> bool:
    """
    Whether a network for one space fits the other: type, shape and scale of pixels are the same. Bounds, types of whole
    numbers and the order of keys do not concern it.
    """
    if isinstance(one, spaces.Dict) and isinstance(other, spaces.Dict):
        return set(one) == set(other) and all(same_kind(one[key], other[key]) for key in one)
    if isinstance(one, spaces.Box) and isinstance(other, spaces.Box):
        return one.shape == other.shape and is_image_space(one) == is_image_space(other)  # else pixels go up to 1
    if isinstance(one, spaces.Discrete) and isinstance(other, spaces.Discrete):
        return bool(one.n == other.n and one.start == other.start)
    if isinstance(one, spaces.MultiDiscrete) and isinstance(other, spaces.MultiDiscrete):
        return np.array_equal(one.nvec, other.nvec) and np.array_equal(one.start, other.start)
    return bool(one == other)


def same_actions(one: Space, other: Space) -> bool:
    """Whether actions for one space mean the same in the other: kind and bounds are the same."""
    if isinstance(one, spaces.Box) and isinstance(other, spaces.Box):
        return one.shape == other.shape and np.allclose(one.low, other.low) and np.allclose(one.high, other.high)
    return same_kind(one, other)


def same_order(one: Space, other: Space) -> bool:
    """Whether a network that was trained on one ``Dict`` may see the other: their keys enter it in the same order."""
    return not (isinstance(one, spaces.Dict) and isinstance(other, spaces.Dict)) or list(one) == list(other)


def difference(first: SpacePair, second: SpacePair) -> tuple[str, str, str] | None:
    """
    :param first: an observation space and an action space
    :param second: likewise, to be compared with the first
    :return: ``"observation"`` or ``"action"``, whichever differs, and a description of either space; ``None`` if a
        network that was made for one pair acts in the other. Bounds count for actions alone
    """
    for name, one, other in zip(("observation", "action"), first, second, strict=True):
        if not same_kind(one, other):
            return name, describe(one), describe(other)
    if not same_actions(first[1], second[1]):
        return "action", describe_bounds(first[1]), describe_bounds(second[1])
    return None


def describe_bounds(space: Space) -> str:
    """A ``Box`` in a few words, with its bounds."""
    assert isinstance(space, spaces.Box)
    if np.ptp(space.low) == 0 and np.ptp(space.high) == 0:
        return f"{describe(space)} in [{space.low.min():g}, {space.high.max():g}]"
    return f"{describe(space)} in [{space.low.tolist()}, {space.high.tolist()}]"


def describe(space: Space) -> str:
    """A space in a few words, for messages: its kind, its shape, and whether it holds bytes of images."""
    if isinstance(space, spaces.Discrete):
        return f"Discrete({space.n})"
    if isinstance(space, spaces.Dict):
        return "Dict(" + ", ".join(f"{key}: {describe(part)}" for key, part in space.spaces.items()) + ")"
    if isinstance(space, spaces.MultiDiscrete):
        return f"MultiDiscrete({space.nvec.tolist()})"
    return f"{type(space).__name__}{space.shape}" + (" of bytes" if is_image_space(space) else "")
