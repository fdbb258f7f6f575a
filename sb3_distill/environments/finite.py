"""Checks that rewards and observations are finite, and messages that say when and where they were not."""

from collections.abc import Sequence
from typing import TypeAlias, cast

import numpy as np
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs

from sb3_distill.errors import NotFiniteError
from sb3_distill.trees import named_leaves
from sb3_distill.typing import Array, RawObservations

Place: TypeAlias = tuple[int, list[int]]
"""A step, counted from the first that is examined, and environments."""


def check_finite(
    buffer: RolloutBuffer,
    first_step: int,
    last_obs: RawObservations | VecEnvObs,
    final: Sequence[tuple[int, int, RawObservations]],
) -> str | None:
    """
    :param buffer: a full buffer whose entries are still ordered ``(steps, envs, ...)``
    :param first_step: steps of each environment before this rollout
    :param last_obs: observations after the last step
    :param final: step, environment and last observation of each truncated episode
    :return: what is not finite, and where it was first seen; ``None`` if everything is finite
    """
    if (place := _first_bad(buffer.rewards)) is not None:
        return f"reward {_location(place, first_step)}"
    for name, values in _named(buffer.observations):
        if (place := _first_bad(values)) is not None:
            return f"observation{name} {_location(place, first_step)}"
    for step, env, observation in final:
        for name, values in _named(observation):
            if _first_bad(np.asarray(values)[None, None]) is not None:
                return f"last observation{name} of an episode {_location((step, [env]), first_step)}"
    for name, values in _named(last_obs):
        if (place := _first_bad(values[None])) is not None:
            return f"observation{name} {_location(place, first_step + buffer.buffer_size)}"
    return None


def check_observations(observations: RawObservations | VecEnvObs, step: int) -> None:
    """
    :param observations: current observations of all environments, ``(envs, ...)``
    :param step: steps of each environment so far
    :raises FloatingPointError: if an observation is not finite
    """
    for name, values in _named(observations):
        if (place := _first_bad(np.asarray(values)[None])) is not None:
            raise NotFiniteError(f"observation{name} {_location(place, step)}")


def _location(place: Place, first_step: int) -> str:
    step, envs = place
    # The statistics of a VecNormalize spread one bad number to all environments, so the list is cut short.
    where = f"environment {envs[0]}" if len(envs) == 1 else f"environments {', '.join(map(str, envs[:5]))}"
    return f"is NaN or infinite at step {first_step + step} of {where}{' ...' if len(envs) > 5 else ''}"


def _named(observations: RawObservations | VecEnvObs) -> list[tuple[str, Array]]:
    """Arrays, each with a name for the message: ``"['key']"``, or nothing for a single array."""
    arrays = named_leaves(cast("RawObservations", observations))  # SB3 has no policies of tuples
    return [("" if key is None else f"[{key!r}]", values) for key, values in arrays]


def _first_bad(values: Array) -> Place | None:
    """The first step at which an entry of ``values`` ``(steps, envs, ...)`` is not finite, and the environments concerned."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return None
    is_bad: Array = np.logical_or.reduce(~np.isfinite(values.reshape(*values.shape[:2], -1)), axis=-1)
    step = int(is_bad.any(axis=1).argmax())
    return step, np.flatnonzero(is_bad[step]).tolist()
