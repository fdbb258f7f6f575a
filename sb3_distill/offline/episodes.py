"""Episodes of recorded columns, and figures of them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from scipy.signal import lfilter

from sb3_distill.dataset.normalization import Normalization
from sb3_distill.errors import RecordingError
from sb3_distill.offline.checks import Columns
from sb3_distill.offline.source import Source
from sb3_distill.trees import index, map_leaves
from sb3_distill.typing import Array, RawObservations, Space

Floats = npt.NDArray[np.float64]


class Episode(NamedTuple):
    """
    One episode of T steps.

    :ivar observations: what was shown before each action ``(T, *obs)``, or one such array for each key
    :ivar actions: ``(T, *action)``
    :ivar rewards: ``(T,)``
    :ivar last_observation: what was shown behind the last step ``(*obs)``
    :ivar terminated: whether the rules of the environment ended the episode
    :ivar truncated: whether a time limit cut it off. With neither the recording stops before the episode does
    :ivar source: who has played
    """

    observations: RawObservations
    actions: Array
    rewards: Array
    last_observation: RawObservations
    terminated: bool
    truncated: bool
    source: Source


def episodes_of(columns: Columns, sources: Sequence[Source]) -> Iterator[Episode]:
    """All episodes, in order."""
    for e, (start, end) in enumerate(zip([0, *columns.ends[:-1]], columns.ends, strict=True)):
        part = slice(int(start), int(end))
        yield Episode(
            index(columns.observations, part),
            columns.actions[part],
            columns.rewards[part],
            index(columns.last_observations, e),
            bool(columns.terminated[end - 1]),
            bool(columns.truncated[end - 1]),
            sources[int(columns.episode_sources[e])],
        )


def returns_of(columns: Columns, finished: bool) -> Floats:
    """
    :param columns: steps of episodes
    :param finished: whether only episodes count that the recording sees to their end
    :return: sum of the rewards of each episode ``(E,)`` or fewer
    """
    sums: Floats = np.add.reduceat(columns.rewards.astype(np.float64), np.append(0, columns.ends[:-1]))
    return sums[(columns.terminated | columns.truncated)[columns.ends - 1]] if finished else sums


def discounted(columns: Columns, gamma: float) -> Floats:
    """
    :param columns: steps of episodes
    :param gamma: discount
    :return: sum of the discounted rewards from each step to the end of its episode ``(N,)``
    """
    parts = np.split(columns.rewards.astype(np.float64), columns.ends[:-1])
    return np.concatenate([lfilter([1.0], [1.0, -gamma], part[::-1])[::-1] for part in parts])


def statistics_of(observations: RawObservations, space: Space) -> Normalization | None:
    """
    :param observations: observations ``(N, *obs)``, or one such array for each key
    :param space: their space
    :return: mean and variance of those that are vectors of real numbers; ``None`` if none are
    """
    if isinstance(space, spaces.Dict):
        assert isinstance(observations, dict)
        vectors = {key: observations[key] for key, part in space.spaces.items() if _is_vector(part)}
        if not vectors:
            return None
        mean = {key: _mean(values) for key, values in vectors.items()}
        return Normalization(mean, {key: _var(values) for key, values in vectors.items()})
    if not _is_vector(space):
        return None
    assert not isinstance(observations, dict)
    return Normalization(_mean(observations), _var(observations))  # type: ignore[arg-type]


def with_ends(
    observations: RawObservations,
    actions: Array,
    rewards: Array,
    terminated: Array,
    truncated: Array | None,
    last_observations: RawObservations | None,
) -> Columns:
    """See ``Recording.from_arrays``."""
    ended = np.asarray(terminated, dtype=bool).reshape(-1)
    cut = np.zeros_like(ended) if truncated is None else np.asarray(truncated, dtype=bool).reshape(-1)
    if ended.shape != cut.shape:
        raise RecordingError(f"`terminated` has {len(ended):,} entries and `truncated` {len(cut):,}")
    ends = np.flatnonzero(ended | cut) + 1
    if len(ended) and (not len(ends) or ends[-1] < len(ended)):
        ends = np.append(ends, len(ended))
    if last_observations is None:
        last_observations = map_leaves(lambda leaf: np.asarray(leaf)[np.minimum(ends, len(leaf)) - 1], observations)
    return Columns(observations, actions, rewards, ended, cut, ends, last_observations, np.zeros(len(ends), dtype=int))


def _mean(values: Array) -> Floats:
    return np.asarray(values.mean(axis=0, dtype=np.float64))


def _var(values: Array) -> Floats:
    return np.asarray(values.var(axis=0, dtype=np.float64))


def _is_vector(space: Space) -> bool:
    return isinstance(space, spaces.Box) and len(space.shape) == 1 and np.issubdtype(space.dtype, np.floating)
