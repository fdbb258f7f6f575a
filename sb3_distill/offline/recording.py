"""Recorded play: what agents did in an environment, as arrays."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sb3_distill.arguments import share
from sb3_distill.dataset.facts import HasFacts
from sb3_distill.dataset.info import library_versions
from sb3_distill.dataset.normalization import Normalization
from sb3_distill.environments.foreign.hand_over import EnvSource, environments_from
from sb3_distill.environments.origin import Origin
from sb3_distill.errors import ArgumentError, MisfitError
from sb3_distill.offline import file
from sb3_distill.offline.checks import Columns, checked, read_only
from sb3_distill.offline.episodes import Episode, Floats, discounted, episodes_of, returns_of, statistics_of, with_ends
from sb3_distill.offline.source import Source
from sb3_distill.spaces.checks import describe, difference
from sb3_distill.trees import concatenate
from sb3_distill.typing import Array, RawObservations, Space

if TYPE_CHECKING:
    from minari import MinariDataset


class Recording(HasFacts):
    """
    Recorded play: N steps of E episodes, one episode after the other. Its arrays are read-only.

    ``record`` makes one of an agent, a dataset or random actions, ``Recording.from_arrays`` of arrays, and
    ``Recording.from_minari`` of a Minari dataset.

    :param observation_space: space of the observations, as the environment shows them
    :param action_space: space of the actions, as the environment takes them
    :param columns: the arrays, see ``Columns``
    :param sources: who has played
    :param origin: what is recorded of the environment
    :param versions: versions of the libraries that made the recording; ``None`` for those of now
    :raises RecordingError: if there are no steps, one array has more than another, a shape is not that of its space, episodes
        do not follow from the flags, or a number is NaN, infinite or no choice
    :raises ValueError: for spaces that no policy takes
    """

    def __init__(
        self,
        observation_space: Space,
        action_space: Space,
        columns: Columns,
        sources: Sequence[Source] = (Source("data"),),
        origin: Origin | None = None,
        versions: dict[str, str] | None = None,
    ) -> None:
        self.observation_space, self.action_space = observation_space, action_space
        self.columns = read_only(checked(columns, observation_space, action_space, len(sources)))
        self.sources = list(sources)
        self.origin = Origin(None, {}, []) if origin is None else origin
        self.versions = library_versions() if versions is None else versions

    @classmethod
    def from_arrays(
        cls,
        observation_space: Space,
        action_space: Space,
        observations: RawObservations,
        actions: Array,
        rewards: Array,
        terminated: Array,
        truncated: Array | None = None,
        last_observations: RawObservations | None = None,
        source: str = "data",
        env_id: str | None = None,
    ) -> "Recording":
        """
        :param observation_space: space of the observations
        :param action_space: space of the actions
        :param observations: what was shown before each action ``(N, *obs)``, or one such array for each key
        :param actions: ``(N, *action)``
        :param rewards: ``(N,)``
        :param terminated: whether the rules of the environment ended the episode at this step ``(N,)``
        :param truncated: whether it was cut off at this step ``(N,)``; ``None`` for never
        :param last_observations: what was shown behind the last step of each episode ``(E, *obs)``; ``None``: as before it
        :param source: who has played
        :param env_id: Gymnasium id of the environment
        :return: the recording; steps behind the last flag are an episode that the recording does not see to its end
        :raises RecordingError: see the class
        """
        columns = with_ends(observations, actions, rewards, terminated, truncated, last_observations)
        return cls(observation_space, action_space, columns, [Source(source)], Origin(env_id, {}, []))

    @classmethod
    def from_minari(
        cls, dataset: "str | MinariDataset", max_episodes: int | None = None, env: EnvSource | None = None
    ) -> "Recording":
        """
        :param dataset: a Minari dataset, or the id of one that is on this computer (extra: ``offline``)
        :param max_episodes: number of episodes that are read, the first ones; ``None`` for all
        :param env: environment that the play must fit, in any form that ``evaluate_learners`` takes
        :return: its play
        :raises ImportError: if Minari is not installed
        :raises FileNotFoundError: if there is no such dataset on this computer
        :raises DatasetError: if its spaces are not those of ``env``
        :raises ValueError: for spaces that no policy takes
        """
        from sb3_distill.offline.minari_sets import read_minari

        recording = cls(*read_minari(dataset, max_episodes))
        if env is not None:
            venv, is_ours = environments_from(env, 1)
            try:
                recording.check_spaces(venv.observation_space, venv.action_space)
            finally:
                if is_ours:
                    venv.close()
        return recording

    @classmethod
    def concatenate(cls, recordings: "Sequence[Recording]") -> "Recording":
        """
        :param recordings: recordings of one environment, at least one
        :return: all of their episodes, in that order
        :raises ValueError: if there are none, or one is of other spaces or of another environment than the first
        """
        if not recordings:
            raise ArgumentError("`concatenate` needs at least one recording")
        first = recordings[0]
        for other in recordings[1:]:
            other.check_spaces(first.observation_space, first.action_space, "first recording")
            if (other.origin.env_id, other.origin.env_kwargs) != (first.origin.env_id, first.origin.env_kwargs):
                raise MisfitError(f"a recording is of {_task(other.origin)}, the first one of {_task(first.origin)}")
        sources = list(dict.fromkeys(source for one in recordings for source in one.sources))
        n_before = np.cumsum([0, *(len(one) for one in recordings)])
        parts = [
            one.columns._replace(
                ends=one.columns.ends + n,
                episode_sources=np.array([sources.index(source) for source in one.sources])[one.columns.episode_sources],
            )
            for one, n in zip(recordings, n_before, strict=False)
        ]
        columns = Columns(*(concatenate(column) for column in zip(*parts, strict=True)))  # type: ignore[arg-type]
        return cls(first.observation_space, first.action_space, columns, sources, first.origin)

    def __len__(self) -> int:
        """Number of steps, N."""
        return len(self.columns.rewards)

    @property
    def n_episodes(self) -> int:
        """Number of episodes, E, with those that the recording does not see to their end."""
        return len(self.columns.ends)

    @property
    def observations(self) -> RawObservations:
        """What was shown before each action ``(N, *obs)``, or one such array for each key."""
        return self.columns.observations

    @property
    def actions(self) -> Array:
        """Actions as the environment took them ``(N, *action)``."""
        return self.columns.actions

    @property
    def rewards(self) -> Array:
        """Rewards ``(N,)``."""
        return self.columns.rewards

    def episodes(self) -> Iterator[Episode]:
        """All episodes, in order."""
        return episodes_of(self.columns, self.sources)

    def returns(self, finished: bool = True) -> Floats:
        """
        :param finished: whether episodes are left out that the recording does not see to their end
        :return: sum of the rewards of each episode, without discount ``(E,)`` or fewer
        """
        return returns_of(self.columns, finished)

    @property
    def behaviour_mean(self) -> float:
        """
        Mean return of all episodes that are finished.

        :raises ValueError: if none is
        """
        if not len(returns := self.returns()):
            raise ArgumentError("no episode of the recording is finished: record more steps, or say how many episodes")
        return float(returns.mean())

    def returns_to_go(self, gamma: float = 0.99) -> Floats:
        """
        :param gamma: discount
        :return: sum of the discounted rewards from each step to the end of its episode ``(N,)``; nothing is added behind the
            end of the recording
        :raises ValueError: if ``gamma`` is not in [0, 1]
        """
        return discounted(self.columns, share("gamma", gamma))

    def normalization(self) -> Normalization | None:
        """Mean and variance of all observations that are vectors of real numbers; ``None`` if none are."""
        return statistics_of(self.observations, self.observation_space)

    def check_spaces(self, observation_space: Space, action_space: Space, holder: str = "environment") -> None:
        """
        :param observation_space: an observation space
        :param action_space: an action space
        :param holder: word for whose spaces these are, for the message
        :raises DatasetError: if the play is of other spaces
        """
        if (found := difference((self.observation_space, self.action_space), (observation_space, action_space))) is not None:
            name, mine, other = found
            raise MisfitError(f"the recording has {name} space {mine}, the {holder} has {other}")

    def facts(self) -> dict[str, object]:
        """What is to be known of the recording, by name."""
        returns = self.returns()
        how = f"{returns.mean():.4g} ± {returns.std():.4g} ({len(returns)} finished)" if len(returns) else "none finished"
        return {
            "task": _task(self.origin),
            "steps": len(self),
            "episodes": self.n_episodes,
            "returns": how,
            "sources": ", ".join(source.name for source in self.sources),
            "observations": describe(self.observation_space),
            "actions": describe(self.action_space),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write a safetensors file (no pickle). The file appears whole or not at all.

        :param path: where to; the folder is made if missing
        :raises ValueError: if it does not end in ``.safetensors``, or is a folder
        :raises OSError: with the path, if it cannot be written; a file that was there stays what it was
        """
        file.write_recording(
            path, self.observation_space, self.action_space, self.columns, self.sources, self.origin, self.versions
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Recording":
        """
        :param path: a file that ``save`` wrote
        :raises FileNotFoundError: if there is no such file
        :raises RecordingError: if the file is damaged, of a newer format, or not consistent
        """
        with file.refused(path):
            return cls(*file.read_recording(path))

    @classmethod
    def of(cls, recording: "Recording | str | os.PathLike[str]") -> "Recording":
        """
        :param recording: a recording, returned as it is, or what ``load`` takes
        :raises FileNotFoundError: see ``load``
        :raises RecordingError: likewise
        :raises ValueError: for anything else
        """
        if isinstance(recording, Recording):
            return recording
        if isinstance(recording, (str, os.PathLike)):
            return cls.load(recording)
        advice = "`record` makes a recording of play, Recording.from_arrays one of arrays"
        if isinstance(recording, Sequence) and recording and all(isinstance(part, Recording) for part in recording):
            advice = "Recording.concatenate makes one of several"
        got = "None" if recording is None else f"an object of the type {type(recording).__name__}"
        raise ArgumentError(f"`data` must be a Recording or the path of one, got {got}: {advice}")


def _task(origin: Origin) -> str:
    return f"{origin.env_id}{origin.env_kwargs or ''}" if origin.env_id else "an environment without an id"
