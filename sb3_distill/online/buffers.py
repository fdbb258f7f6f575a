"""SB3's rollout buffers, read in minibatches in which every learner has an equal share."""

from collections.abc import Generator
from typing import Any

import torch as th
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from sb3_distill.trees import map_leaves
from sb3_distill.typing import Array, Observations


class LearnerRolloutBuffer(RolloutBuffer):
    """
    A rollout buffer whose environments belong to learners: with M learners, environment ``i`` belongs to learner
    ``i // (n_envs / M)``. Everything but the order of reading is SB3's.

    :param args: as SB3's
    :param n_learners: M, a divisor of ``n_envs``
    :param generator: source of the permutations (CPU); torch's global one if ``None``
    :param kwargs: as SB3's
    """

    _observations: Observations
    _actions: th.Tensor
    _scalars: th.Tensor

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
        self._observations = map_leaves(self._to_table, self.observations)
        self._actions = self._to_table(self.actions).float()
        columns = (self.values, self.log_probs, self.advantages, self.returns)
        self._scalars = th.cat([self._to_table(column) for column in columns], dim=1)

    def _to_table(self, values: Array) -> th.Tensor:
        return th.as_tensor(self.swap_and_flatten(values), device=self.device)

    def _get_samples(  # type: ignore[override]  # indices are tensors, which need no copy to the device
        self, batch_inds: th.Tensor, env: VecNormalize | None = None
    ) -> RolloutBufferSamples:
        values, log_probs, advantages, returns = self._scalars.index_select(0, batch_inds).T.contiguous()
        observations = map_leaves(lambda value: value.index_select(0, batch_inds), self._observations)
        actions = self._actions.index_select(0, batch_inds)
        return RolloutBufferSamples(observations, actions, values, log_probs, advantages, returns)  # type: ignore[arg-type]


class DictLearnerRolloutBuffer(LearnerRolloutBuffer, DictRolloutBuffer):  # type: ignore[misc]
    """``LearnerRolloutBuffer`` for ``Dict`` observations."""
