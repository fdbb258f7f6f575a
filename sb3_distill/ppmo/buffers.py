"""SB3's rollout buffers, read in minibatches in which every learner has an equal share."""

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from stable_baselines3.common.vec_env import VecNormalize


class LearnerRolloutBuffer(RolloutBuffer):
    """
    A rollout buffer whose environments belong to learners: with M learners, environment ``i`` belongs to learner
    ``i // (n_envs / M)``. Everything but the order of reading is SB3's.

    :param n_learners: M, a divisor of ``n_envs``
    :param generator: source of the permutations (CPU); torch's global one if ``None``
    """

    def __init__(self, *args: Any, n_learners: int = 1, generator: th.Generator | None = None, **kwargs: Any) -> None:
        self.n_learners = n_learners
        self.generator = generator
        super().__init__(*args, **kwargs)

    def get(self, batch_size: int | None = None) -> Generator[RolloutBufferSamples, None, None]:
        """
        One pass over the buffer, shuffled within each learner.

        :param batch_size: transitions of a minibatch, all learners together; the last one may be shorter
        :return: minibatches of ``M * b`` transitions, those of learner 0 first
        """
        assert self.full, "the rollout buffer is not full"
        if not self.generator_ready:
            self._prepare()
            self.generator_ready = True
        n = self.buffer_size * self.n_envs // self.n_learners
        share = n if batch_size is None else max(1, batch_size // self.n_learners)
        # Flattened, the transitions of one environment are adjacent, hence those of one learner too.
        order = th.stack([i * n + th.randperm(n, generator=self.generator) for i in range(self.n_learners)])
        for start in range(0, n, share):
            yield self._get_samples(order[:, start : start + share].flatten().to(self.device))

    def _prepare(self) -> None:
        """Flatten all arrays, as SB3 does, and put them on the device once per rollout instead of once per minibatch."""
        if isinstance(self.observations, dict):
            self._observations: Any = {key: self._to_table(value) for key, value in self.observations.items()}
        else:
            self._observations = self._to_table(self.observations)
        self._actions = self._to_table(self.actions).float()
        columns = (self.values, self.log_probs, self.advantages, self.returns)
        self._scalars = th.cat([self._to_table(column) for column in columns], dim=1)

    def _to_table(self, values: np.ndarray[Any, Any]) -> th.Tensor:
        return th.as_tensor(self.swap_and_flatten(values), device=self.device)

    def _get_samples(self, batch_inds: Any, env: VecNormalize | None = None) -> RolloutBufferSamples:
        values, log_probs, advantages, returns = self._scalars.index_select(0, batch_inds).T.contiguous()
        if isinstance(self._observations, dict):
            observations: Any = {key: value.index_select(0, batch_inds) for key, value in self._observations.items()}
        else:
            observations = self._observations.index_select(0, batch_inds)
        actions = self._actions.index_select(0, batch_inds)
        return RolloutBufferSamples(observations, actions, values, log_probs, advantages, returns)


class DictLearnerRolloutBuffer(LearnerRolloutBuffer, DictRolloutBuffer):  # type: ignore[misc]
    """``LearnerRolloutBuffer`` for ``Dict`` observations."""


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
            raise FloatingPointError(f"observation{name} {_told(found, step)}")


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
