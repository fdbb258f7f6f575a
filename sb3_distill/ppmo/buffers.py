"""SB3's rollout buffers, read in minibatches in which every learner has an equal share."""

from collections.abc import Generator
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples, RolloutBufferSamples


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
        self._flatten()
        n = self.buffer_size * self.n_envs // self.n_learners
        share = n if batch_size is None else max(1, batch_size // self.n_learners)
        order = th.rand((self.n_learners, n), generator=self.generator).argsort(dim=1)
        order += n * th.arange(self.n_learners).unsqueeze(1)  # flattened, the transitions of one environment are adjacent
        for start in range(0, n, share):
            yield self._get_samples(order[:, start : start + share].flatten().numpy())

    def _flatten(self) -> None:
        if self.generator_ready:
            return
        for name in ("observations", "actions", "values", "log_probs", "advantages", "returns"):
            value = self.__dict__[name]
            if isinstance(value, dict):
                self.__dict__[name] = {key: self.swap_and_flatten(part) for key, part in value.items()}
            else:
                self.__dict__[name] = self.swap_and_flatten(value)
        self.generator_ready = True


class DictLearnerRolloutBuffer(LearnerRolloutBuffer, DictRolloutBuffer):
    """``LearnerRolloutBuffer`` for ``Dict`` observations."""

    def get(self, batch_size: int | None = None) -> Generator[DictRolloutBufferSamples, None, None]:  # type: ignore[override]
        yield from super().get(batch_size)  # type: ignore[misc]


def check_finite(buffer: RolloutBuffer, first_step: int) -> str | None:
    """
    :param buffer: a full buffer, before it was read
    :param first_step: environment steps per environment before this rollout
    :return: what is not finite, and where it was first seen; ``None`` if all is well
    """
    named = {"reward": buffer.rewards}
    if isinstance(buffer.observations, dict):
        named |= {f"observation[{key!r}]": value for key, value in buffer.observations.items()}
    else:
        named["observation"] = buffer.observations
    for name, values in named.items():
        if values.dtype.kind != "f" or np.isfinite(values).all():
            continue
        bad = ~np.isfinite(values.reshape(*values.shape[:2], -1)).all(axis=-1)
        step, env = np.argwhere(bad)[0]
        return f"{name} is NaN or infinite at step {first_step + step} of environment {env}"
    return None
