"""Recorded play as transitions, and the minibatches that M networks draw from it."""

from collections.abc import Sequence

import numpy as np
import torch as th

from sb3_distill.dataset.normalization import Normalization
from sb3_distill.errors import ArgumentError
from sb3_distill.offline.recording import Recording
from sb3_distill.search.scores.stacked.acting import preprocessed
from sb3_distill.trees import concatenate, map_leaves
from sb3_distill.typing import Array, Observations, Space


class Transitions:
    """
    The N steps of a recording. What was shown behind a step is the observation of the next one, or the last of an episode.

    :param recording: recorded play
    :param normalization: statistics of observations; ``None`` for raw ones
    :ivar actions: actions as environments take them ``(N, dimensions)``
    :ivar rewards: rewards ``(N,)``
    :ivar goes_on: 0 where the rules of the environment ended the episode, else 1 ``(N,)``
    """

    def __init__(self, recording: Recording, normalization: Normalization | None = None) -> None:
        columns, n = recording.columns, len(recording)
        shown = concatenate([columns.observations, columns.last_observations])
        shown = shown if normalization is None else normalization(shown)  # type: ignore[assignment]
        self._shown: Observations = map_leaves(lambda leaf: th.tensor(leaf), shown)
        self._space: Space = recording.observation_space
        behind = np.arange(1, n + 1)
        behind[columns.ends - 1] = n + np.arange(len(columns.ends))
        self._behind = th.as_tensor(behind)
        self.actions = th.tensor(columns.actions.reshape(n, -1)).float()
        self.rewards = th.tensor(columns.rewards).float()
        self.goes_on = th.tensor(~columns.terminated).float()

    def seen(self, rows: th.Tensor) -> Observations:
        """
        :param rows: numbers of steps ``(M, b)``
        :return: what was shown before them, preprocessed ``(M, b, ...)``
        """
        flat = rows.flatten()
        return preprocessed(map_leaves(lambda leaf: leaf[flat], self._shown), self._space, len(rows))

    def seen_behind(self, rows: th.Tensor) -> Observations:
        """
        :param rows: numbers of steps ``(M, b)``
        :return: what was shown behind them, preprocessed ``(M, b, ...)``
        """
        return self.seen(self._behind[rows])


def split(ends: Array, held_out: float, seed: int) -> tuple[th.Tensor, th.Tensor]:
    """
    Whole episodes are held out, since steps of one episode are alike. Where there are too few episodes, the last steps are.

    :param ends: number of the first step behind each episode ``(E,)``
    :param held_out: share of the steps that is held out, at least one step
    :param seed: seed of the choice of episodes
    :return: numbers of the steps to learn from, and of those that are held out
    :raises ValueError: if ``held_out`` is not between 0 and 1, or there is one step only
    """
    n = int(ends[-1])
    if not 0 < held_out < 1:
        raise ArgumentError(f"`held_out` must be between 0 and 1, got {held_out}")
    if n < 2:
        raise ArgumentError("the recording has one step: to learn and to be judged take one each, record more")
    wanted, lengths = max(1, round(held_out * n)), np.diff(np.append(0, ends))
    order = np.random.default_rng(seed).permutation(len(ends))
    n_chosen = int(np.searchsorted(np.cumsum(lengths[order]), wanted)) + 1
    is_held = np.zeros(n, dtype=bool)
    for episode in order[:n_chosen]:
        is_held[ends[episode] - lengths[episode] : ends[episode]] = True
    if is_held.sum() > 2 * wanted or is_held.all():
        is_held[:] = False
        is_held[n - min(wanted, n - 1) :] = True
    return th.as_tensor(np.flatnonzero(~is_held)), th.as_tensor(np.flatnonzero(is_held))


def draw_rows(rows: th.Tensor, batch_size: int, generators: Sequence[th.Generator]) -> th.Tensor:
    """
    :param rows: numbers of steps
    :param batch_size: steps of a minibatch
    :param generators: source of randomness of each network (CPU): each draws minibatches of its own
    :return: with replacement drawn steps ``(M, batch_size)``
    """
    return rows[th.stack([th.randint(len(rows), (batch_size,), generator=g) for g in generators])]
