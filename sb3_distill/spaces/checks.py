"""Which spaces are supported, and whether two are of the same kind."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space

from sb3_distill.errors import ArgumentError

SUPPORTED_ACTION_SPACES = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


class SpacesOnly(gym.Env[Any, Any]):
    """An environment that is never stepped, where only its spaces are asked for."""

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observation_space, action_space


def sees_images(space: spaces.Space[Any]) -> bool:
    """Whether observations are images, or hold some."""
    parts = space.spaces.values() if isinstance(space, spaces.Dict) else [space]
    return any(len(part.shape or ()) == 3 for part in parts)


def check_observation_space(space: spaces.Space[Any]) -> None:
    """
    :raises ValueError: for a space that SB3's policies do not take, or take silently wrong
    """
    for part in space.spaces.values() if isinstance(space, spaces.Dict) else [space]:
        nested = isinstance(part, (spaces.Dict, spaces.Tuple))  # SB3 has its own message for these
        known = isinstance(part, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary))
        if not (nested or known) or _counts_oddly(part):
            raise ArgumentError(f"observation space {' '.join(str(part).split())} is not supported{_advice(part)}")


def check_action_space(space: spaces.Space[Any]) -> None:
    """
    :raises ValueError: for a space that SB3's policies take silently wrong
    """
    if _counts_oddly(space):
        raise ArgumentError(f"action space is not supported: {' '.join(str(space).split())}{_advice(space)}")


def _counts_oddly(space: spaces.Space[Any]) -> bool:
    if isinstance(space, spaces.MultiDiscrete):
        return space.nvec.ndim != 1 or bool(np.any(space.start != 0))
    return isinstance(space, spaces.Discrete) and space.start != 0


def _advice(space: spaces.Space[Any]) -> str:
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim != 1:
        return ": flatten it with a wrapper"
    return ": shift it to start at 0 with a wrapper" if _counts_oddly(space) else ""


def same_kind(one: spaces.Space[Any], other: spaces.Space[Any]) -> bool:
    """Whether two spaces have the same type, shape and scale of pixels, so that a network for one fits the other."""
    if isinstance(one, spaces.Dict) and isinstance(other, spaces.Dict):
        return set(one) == set(other) and all(same_kind(one[key], other[key]) for key in one)
    if isinstance(one, spaces.Box) and isinstance(other, spaces.Box):
        return one.shape == other.shape and is_image_space(one) == is_image_space(other)  # or pixels go up to 1
    return one == other


Spaces = tuple[spaces.Space[Any], spaces.Space[Any]]


def difference(own: Spaces, other: Spaces) -> tuple[str, str, str] | None:
    """
    :param own: an observation space and an action space
    :param other: the same, of somebody else
    :return: the name of the first that is not of the same kind, and both in a few words; ``None`` if all are
    """
    for name, one, another in zip(("observation", "action"), own, other, strict=True):
        if not same_kind(one, another):
            return name, describe(one), describe(another)
    return None


def describe(space: spaces.Space[Any]) -> str:
    """A space in a few words, for messages: kind and shape, and what else ``same_kind`` asks."""
    if isinstance(space, spaces.Discrete):
        return f"Discrete({space.n})"
    if isinstance(space, spaces.Dict):
        return "Dict(" + ", ".join(f"{key}: {describe(sub)}" for key, sub in space.spaces.items()) + ")"
    if isinstance(space, spaces.MultiDiscrete):
        return f"MultiDiscrete({space.nvec.tolist()})"
    return f"{type(space).__name__}{space.shape}" + (" of bytes" if is_image_space(space) else "")
