"""Datasets of Minari as arguments of a recording."""

from typing import TYPE_CHECKING, cast

import numpy as np
from gymnasium.envs.registration import EnvSpec

from sb3_distill.dataset.info import library_versions
from sb3_distill.dataset.wrapper_records import ARGUMENT
from sb3_distill.environments.origin import Origin
from sb3_distill.errors import ArgumentError, MissingExtraError, RecordingError
from sb3_distill.offline.checks import Columns
from sb3_distill.offline.file import Fields
from sb3_distill.offline.source import Source
from sb3_distill.spaces.checks import check_action_space, check_observation_space
from sb3_distill.spaces.values import as_json
from sb3_distill.trees import concatenate, index, length
from sb3_distill.typing import Json, RawObservations

if TYPE_CHECKING:
    from minari import MinariDataset


def read_minari(dataset: "str | MinariDataset", max_episodes: int | None) -> Fields:
    """
    :param dataset: see ``Recording.from_minari``
    :param max_episodes: number of episodes that are read; ``None`` for all
    :return: arguments of a ``Recording``
    :raises ImportError: if Minari is not installed
    :raises FileNotFoundError: if there is no such dataset on this computer
    :raises ValueError: for spaces that no policy takes, or fewer than one episode
    """
    try:
        import minari
    except ImportError as error:
        raise MissingExtraError(f'Minari datasets need Minari: pip install "sb3-distill[offline]" ({error})') from error
    if max_episodes is not None and max_episodes < 1:
        raise ArgumentError(f"`max_episodes` must be at least 1, got {max_episodes}")
    if isinstance(dataset, str):
        try:
            dataset = minari.load_dataset(dataset)
        except (FileNotFoundError, ValueError) as error:  # a name that is none is a ValueError
            raise FileNotFoundError(
                f"there is no Minari dataset {dataset!r} on this computer: `minari download {dataset}` fetches it ({error})"
            ) from error
        except ImportError as error:
            raise MissingExtraError(f'the dataset needs more: pip install "sb3-distill[offline]" ({error})') from error
    if not isinstance(dataset, minari.MinariDataset):
        raise ArgumentError(f"`dataset` must be a Minari dataset or the id of one, got {repr(dataset)[:200]}")
    observation_space, action_space = dataset.observation_space, dataset.action_space
    check_observation_space(observation_space)
    check_action_space(action_space)
    indices = [int(i) for i in dataset.episode_indices[:max_episodes]]
    episodes = [one for one in dataset.iterate_episodes(indices) if len(one.rewards)]
    if not episodes:
        raise RecordingError(f"the Minari dataset {dataset.id} has no steps")
    shown = [cast(RawObservations, one.observations) for one in episodes]
    columns = Columns(
        concatenate([index(part, slice(0, len(one.rewards))) for one, part in zip(episodes, shown, strict=True)]),
        np.concatenate([one.actions for one in episodes]),
        np.concatenate([one.rewards for one in episodes]),
        np.concatenate([one.terminations for one in episodes]),
        np.concatenate([one.truncations for one in episodes]),
        np.cumsum([len(one.rewards) for one in episodes]),
        concatenate([index(part, slice(length(part) - 1, length(part))) for part in shown]),
        np.zeros(len(episodes), dtype=int),
    )
    source = Source(f"Minari {dataset.id}")
    return observation_space, action_space, columns, [source], _origin(dataset.env_spec), library_versions()


def _origin(spec: EnvSpec | None) -> Origin:
    """What is recorded of an environment of Gymnasium; what a file cannot say is recorded by name."""
    if spec is None:
        return Origin(None, {}, [])
    kwargs: Json = {}
    wrappers: list[Json] = []
    for key, value in spec.kwargs.items():
        try:
            kwargs[key] = as_json(value)
        except ArgumentError:
            wrappers.append({"name": f"{key}={type(value).__name__}", "entry_point": ARGUMENT, "kwargs": None})
    wrappers += [{"name": one.name, "entry_point": one.entry_point, "kwargs": None} for one in spec.additional_wrappers]
    return Origin(spec.id, kwargs, wrappers)
