"""Finding what is not finite in what environments return, and saying where it was seen."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.buffers import RolloutBuffer

from sb3_distill.errors import NotFiniteError


def check_finite(buffer: RolloutBuffer, first_step: int, last_obs: Any, final: Sequence[tuple[int, int, Any]]) -> str | None:
    """
    :param buffer: a full buffer, before it was read
    :param first_step: environment steps per environment before this rollout
    :param last_obs: observations after the last step
    :param final: step, environment and last observation of the episodes that were cut off
    :return: what is not finite, and where it was first seen; ``None`` if all is well
    """
    found = _first_bad(buffer.rewards)
    if found is not None:
        return "reward " + _told(found, first_step)
    for name, values in _named(buffer.observations):
        if (found := _first_bad(values)) is not None:
            return f"observation{name} " + _told(found, first_step)
    for step, env, observation in final:
        for name, values in _named(observation):
            if _first_bad(np.asarray(values)[None, None]) is not None:
                return f"last observation{name} of an episode " + _told((step, [env]), first_step)
    for name, values in _named(last_obs):
        if (found := _first_bad(values[None])) is not None:
            return f"observation{name} " + _told(found, first_step + buffer.buffer_size)
    return None


def check_observations(observations: Any, step: int) -> None:
    """
    :param observations: of all environments, as they come from them
    :param step: environment steps per environment before
    :raises FloatingPointError: if one is not finite
    """
    for name, values in _named(observations):
        if (found := _first_bad(np.asarray(values)[None])) is not None:
            raise NotFiniteError(f"observation{name} {_told(found, step)}")


def _told(found: tuple[int, list[int]], first_step: int) -> str:
    step, envs = found
    # The statistics of a VecNormalize spread it to all.
    where = f"environment {envs[0]}" if len(envs) == 1 else f"environments {', '.join(map(str, envs[:5]))}"
    return f"is NaN or infinite at step {first_step + step} of {where}{' ...' if len(envs) > 5 else ''}"


def _named(observations: Any) -> list[tuple[str, Any]]:
    if isinstance(observations, dict):
        return [(f"[{key!r}]", value) for key, value in observations.items()]
    return [("", observations)]


def _first_bad(values: np.ndarray[Any, Any]) -> tuple[int, list[int]] | None:
    """The first step at which an entry ``(steps, envs, ...)`` is not finite, and the environments where it is so."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return None
    bad = ~np.isfinite(values.reshape(*values.shape[:2], -1)).all(axis=-1)
    step = int(bad.any(axis=1).argmax())
    return step, np.flatnonzero(bad[step]).tolist()
