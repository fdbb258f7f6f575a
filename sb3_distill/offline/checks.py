"""Recorded arrays are as long as each other, of their spaces, and finite."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from gymnasium import spaces

from sb3_distill.errors import ArgumentError, RecordingError
from sb3_distill.spaces.checks import SUPPORTED_ACTION_SPACES, check_action_space, check_observation_space, describe
from sb3_distill.trees import map_leaves, named_leaves
from sb3_distill.typing import Array, RawObservations, Space


class Columns(NamedTuple):
    """
    Steps of E episodes, one after the other: N steps in all.

    :ivar observations: what was shown before each action ``(N, *obs)``, or one such array for each key
    :ivar actions: actions as the environment took them ``(N, *action)``
    :ivar rewards: ``(N,)``
    :ivar terminated: whether the rules of the environment ended the episode at this step ``(N,)``
    :ivar truncated: whether it was cut off, by a time limit for instance ``(N,)``
    :ivar ends: number of the first step behind each episode ``(E,)``
    :ivar last_observations: what was shown behind the last step of each episode ``(E, *obs)``, likewise
    :ivar episode_sources: for each episode the number of its source ``(E,)``
    """

    observations: RawObservations
    actions: Array
    rewards: Array
    terminated: Array
    truncated: Array
    ends: Array
    last_observations: RawObservations
    episode_sources: Array


def checked(columns: Columns, observation_space: Space, action_space: Space, n_sources: int) -> Columns:
    """
    :param columns: arrays, or what becomes some
    :param observation_space: space of one observation
    :param action_space: space of one action
    :param n_sources: number of sources
    :return: the same as arrays of the types of the spaces
    :raises RecordingError: if there are no steps, one array has more than another, a shape is not that of its space, episodes
        do not follow from the flags, or a number is NaN, infinite or no choice
    :raises ValueError: for spaces that no policy takes
    """
    check_observation_space(observation_space)
    check_action_space(action_space)
    if not isinstance(action_space, SUPPORTED_ACTION_SPACES):
        raise ArgumentError(f"action space {' '.join(str(action_space).split())} is not supported")
    rewards = _array("rewards", columns.rewards, np.dtype(np.float32)).reshape(-1)
    n = len(rewards)
    if n == 0:
        raise RecordingError("the recording is empty: it has no steps")
    terminated, truncated = (_flags(name, getattr(columns, name), n) for name in ("terminated", "truncated"))
    ends = _array("ends", columns.ends, np.dtype(np.int64))
    _check_ends(ends, n, terminated | truncated)
    sources = _array("episode_sources", columns.episode_sources, np.dtype(np.int64))
    if sources.shape != ends.shape or sources.min() < 0 or sources.max() >= n_sources:
        raise RecordingError(f"`episode_sources` must name one of {n_sources} sources for each of {len(ends)} episodes")
    _check_finite("rewards", rewards)
    return Columns(
        _observations("observations", columns.observations, observation_space, n),
        _part("actions", columns.actions, action_space, n),
        rewards,
        terminated,
        truncated,
        ends,
        _observations("last_observations", columns.last_observations, observation_space, len(ends)),
        sources,
    )


def _observations(name: str, values: RawObservations, space: Space, n: int) -> RawObservations:
    if isinstance(space, spaces.Dict) != isinstance(values, Mapping):
        raise RecordingError(f"`{name}` must be {'a dict of arrays' if isinstance(space, spaces.Dict) else 'an array'}")
    if isinstance(space, spaces.Dict) and isinstance(values, Mapping):
        if set(values) != set(space.spaces):
            raise RecordingError(
                f"`{name}` has the keys {', '.join(sorted(values))}, its space has {', '.join(sorted(space.spaces))}"
            )
        return {key: _part(f"{name}.{key}", values[key], part, n) for key, part in space.spaces.items()}
    assert not isinstance(values, Mapping)
    return _part(name, values, space, n)


def _part(name: str, values: object, space: Space, n: int) -> Array:
    """Values of one space ``(n, *shape)``."""
    assert space.dtype is not None and space.shape is not None
    array = _array(name, values, space.dtype)
    if array.shape == (n, 1) and space.shape == ():
        array = array[:, 0]
    if array.ndim and len(array) != n:
        raise RecordingError(f"`{name}` has {len(array):,} entries, expected {n:,}: arrays are as long as each other")
    if array.shape != (n, *space.shape):
        raise RecordingError(f"`{name}` has shape {array.shape}, expected {(n, *space.shape)}, as {describe(space)} says")
    _check_finite(name, array)
    if isinstance(space, spaces.Discrete):
        _check_choices(name, array, space.n)
    elif isinstance(space, spaces.MultiDiscrete):
        _check_choices(name, array, space.nvec)
    elif isinstance(space, spaces.MultiBinary):
        _check_choices(name, array, 2)
    return array


def _array(name: str, values: object, dtype: "np.dtype[np.generic]") -> Array:
    """An array of a type; whole numbers stay what they were."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise RecordingError(f"`{name}` is ragged: its entries are not of one shape ({error})") from error
    if array.dtype.kind not in "biuf":
        raise RecordingError(f"`{name}` must hold numbers, got {array.dtype}: are its entries of one shape?")
    if array.dtype == dtype:
        return array
    if array.dtype.kind == "f":
        _check_finite(name, array)
    with np.errstate(over="ignore", invalid="ignore"):
        converted = array.astype(dtype)
    if dtype.kind != "f" and not np.array_equal(converted, array):
        raise RecordingError(f"`{name}` must hold numbers of the type {dtype}, got {array.dtype} with others")
    return converted


def _flags(name: str, values: object, n: int) -> Array:
    flags = _array(name, values, np.dtype(bool)).reshape(-1)
    if len(flags) != n:
        raise RecordingError(f"`{name}` has {len(flags):,} entries, expected {n:,}: arrays are as long as each other")
    return flags


def _check_ends(ends: Array, n: int, is_last: Array) -> None:
    starts_ok = ends.ndim == 1 and len(ends) > 0 and ends[0] > 0 and bool((np.diff(ends) > 0).all()) and ends[-1] == n
    if not starts_ok:
        raise RecordingError(f"`ends` must rise from at least 1 to {n:,}, the number of steps")
    flagged = np.flatnonzero(is_last) + 1
    if len(strange := np.setdiff1d(flagged, ends)):
        raise RecordingError(f"step {strange[0] - 1:,} is terminated or truncated, and `ends` goes on with its episode")


def _check_finite(name: str, values: Array) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        raise RecordingError(f"`{name}` is NaN or infinite at entry {int(bad.argmax()):,}")


def _check_choices(name: str, values: Array, n: Array | int) -> None:
    is_bad = (values < 0) | (values >= n)
    if is_bad.any():
        bad = is_bad.reshape(len(values), -1).any(axis=1)
        raise RecordingError(f"`{name}` has {values[bad][0]} at entry {int(bad.argmax()):,}, which is no choice of its space")


def read_only(columns: Columns) -> Columns:
    """Views of the same arrays that nobody writes into: a recording does not change."""

    def view(values: Array) -> Array:
        values = values.view()
        values.flags.writeable = False
        return values

    return Columns(*(map_leaves(view, column) for column in columns))  # type: ignore[arg-type]


def named_columns(columns: Columns) -> dict[str, Array]:
    """All arrays by name; with a ``Dict`` space one for each key, ``observations.<key>``."""
    return {
        name if key is None else f"{name}.{key}": values
        for name, column in columns._asdict().items()
        for key, values in named_leaves(column)
    }
