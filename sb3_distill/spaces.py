"""What the spaces of an environment mean for a synthetic dataset, and their JSON form (no pickle)."""

import math
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_flattened_obs_dim, is_image_space
from stable_baselines3.common.vec_env import VecNormalize

Json = dict[str, Any]
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
            raise ValueError(f"observation space {' '.join(str(part).split())} is not supported{_advice(part)}")


def check_action_space(space: spaces.Space[Any]) -> None:
    """
    :raises ValueError: for a space that SB3's policies take silently wrong
    """
    if _counts_oddly(space):
        raise ValueError(f"action space is not supported: {' '.join(str(space).split())}{_advice(space)}")


def _counts_oddly(space: spaces.Space[Any]) -> bool:
    if isinstance(space, spaces.MultiDiscrete):
        return space.nvec.ndim != 1 or bool(np.any(space.start != 0))
    return isinstance(space, spaces.Discrete) and space.start != 0


def _advice(space: spaces.Space[Any]) -> str:
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim != 1:
        return ": flatten it with a wrapper"
    return ": shift it to start at 0 with a wrapper" if _counts_oddly(space) else ""


def n_classes(action_space: spaces.Space[Any]) -> int:
    """
    The ``c`` of Eq. 3: values that the labels must tell apart.

    :param action_space: ``Discrete`` (n), ``MultiDiscrete`` (sum of its sizes) or ``MultiBinary`` (2 n)
    :raises ValueError: for any other space
    """
    if isinstance(action_space, spaces.Discrete):
        return int(action_space.n)
    if isinstance(action_space, spaces.MultiDiscrete):
        return int(action_space.nvec.sum())
    if isinstance(action_space, spaces.MultiBinary):
        return 2 * int(np.prod(action_space.shape))
    raise ValueError(f"Eq. 3 counts discrete actions; {action_space} has none, choose `n_instances` yourself")


def min_instances(action_space: spaces.Space[Any]) -> int:
    """
    Eq. 3 of Wilhelm & Ventura (2025): ``k_min = ceil(c / 2) + 1`` soft-labelled instances separate ``c`` classes.

    :param action_space: a discrete action space, see ``n_classes``
    :return: ``k_min``
    :raises ValueError: for a ``Box``, where the equation says nothing
    """
    return math.ceil(n_classes(action_space) / 2) + 1


def n_outputs(action_space: spaces.Space[Any]) -> int:
    """
    Width of the last layer of an SB3 actor, hence of a label: logits, or means of a Gaussian.

    :param action_space: any action space that PPO supports
    :raises ValueError: for any other space
    """
    if isinstance(action_space, spaces.Box):
        return int(np.prod(action_space.shape))
    if isinstance(action_space, spaces.MultiBinary):
        return int(np.prod(action_space.shape))
    return n_classes(action_space)


Shape = tuple[int, ...]


def preprocessed_shape(space: spaces.Space[Any]) -> Shape | dict[str, Shape]:
    """
    Shape of one observation as a network sees it, after SB3's ``preprocess_obs`` (one-hot for discrete spaces).

    :param space: an observation space
    :return: a shape, or one per key for a ``Dict``
    :raises ValueError: for a space that SB3's policies do not take
    """
    if isinstance(space, spaces.Dict):
        return {key: (get_flattened_obs_dim(sub),) if _is_one_hot(sub) else sub.shape for key, sub in space.spaces.items()}  # type: ignore[misc]
    if _is_one_hot(space):
        return (get_flattened_obs_dim(space),)
    if isinstance(space, (spaces.Box, spaces.MultiBinary)):
        return space.shape
    raise ValueError(f"SB3's policies take no {type(space).__name__} observations")


def _is_one_hot(space: spaces.Space[Any]) -> bool:
    return isinstance(space, (spaces.Discrete, spaces.MultiDiscrete))


def same_kind(one: spaces.Space[Any], other: spaces.Space[Any]) -> bool:
    """Whether two spaces have the same type, shape and scale of pixels, so that a network for one fits the other."""
    if isinstance(one, spaces.Dict) and isinstance(other, spaces.Dict):
        return set(one) == set(other) and all(same_kind(one[key], other[key]) for key in one)
    if isinstance(one, spaces.Box) and isinstance(other, spaces.Box):
        return one.shape == other.shape and is_image_space(one) == is_image_space(other)  # or pixels go up to 1
    return one == other


def normalized_space(space: spaces.Space[Any], normalizer: VecNormalize | None) -> spaces.Space[Any]:
    """
    What a ``VecNormalize`` makes of observations, which its own space does not tell: whole numbers become real ones, which a
    buffer of whole numbers would cut.

    :param space: of the observations
    :param normalizer: that of the environments, if any
    """
    if normalizer is None or not normalizer.norm_obs:
        return space
    if isinstance(space, spaces.Dict):
        return spaces.Dict({
            key: _real(sub) if key in (normalizer.norm_obs_keys or ()) else sub for key, sub in space.spaces.items()
        })  # fmt: skip
    return _real(space)


def _real(space: spaces.Space[Any]) -> spaces.Box:
    assert isinstance(space, spaces.Box)  # VecNormalize takes no other
    return space if np.issubdtype(space.dtype, np.floating) else spaces.Box(-np.inf, np.inf, space.shape, np.float32)


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


def space_to_json(space: spaces.Space[Any]) -> Json:
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
        return {"type": "Dict", "spaces": {key: space_to_json(sub) for key, sub in space.spaces.items()}}
    raise ValueError(f"a {type(space).__name__} space cannot be stored in a dataset file")


def space_from_json(data: Json) -> spaces.Space[Any]:
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
        return spaces.Dict({key: space_from_json(sub) for key, sub in data["spaces"].items()})
    raise ValueError(f"unknown kind of space {kind!r}")


def is_json(value: Any) -> bool:
    """Whether JSON can say a value (tuples become lists)."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_json(entry) for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return all(is_json(entry) for entry in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _bound_to_json(bound: np.ndarray[Any, Any]) -> Any:
    # Images have one bound for all pixels; floats are written so that "inf" survives strict JSON readers.
    values = np.unique(bound)
    if len(values) == 1:
        return str(values[0])
    return bound.astype(str).tolist()
