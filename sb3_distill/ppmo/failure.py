"""A run that has not learned says so."""

from typing import Any, Self

import torch as th
from stable_baselines3.common.type_aliases import MaybeCallback

from sb3_distill.errors import warn
from sb3_distill.online.rollout import RolloutOfLearners
from sb3_distill.ppmo.signs import MIN_TIMESTEPS, Signs, cures

PAGE = 'the page "My set does not learn" (docs/does_not_learn.md)'


class TellsFailure(RolloutOfLearners):
    """A model whose ``learn`` ends with one warning where the signs are there that nothing was learned."""

    signs: Signs

    def _setup_model(self) -> None:
        super()._setup_model()
        self.signs = Signs(is_new=False)

    def learn(self, total_timesteps: int, callback: MaybeCallback = None, *args: Any, **kwargs: Any) -> Self:
        """
        :raises ValueError: if there is no environment
        """
        before = self.dataset.info.timesteps
        self.signs = Signs(is_new=before == 0)
        super().learn(total_timesteps, callback, *args, **kwargs)
        is_long = self.dataset.info.timesteps - before >= MIN_TIMESTEPS
        if is_long and (found := self.signs.found(self._episodes)):
            advice = cures(
                self.settings, self.ent_coef, self.n_steps * self.n_envs, self.dataset.info.return_variance is not None,
                self.observation_space, self.action_space,
            )  # fmt: skip
            warn(f"The dataset may not have learned: {'; '.join(found)}. What may help: {'; '.join(advice)}. See {PAGE}")
        return self

    @property
    def _episodes(self) -> list[dict[str, float]]:
        return list(self.ep_info_buffer or [])

    def _note(self, explained: float, entropies: list[th.Tensor]) -> None:
        """
        :param explained: explained variance of the critic in a rollout
        :param entropies: the loss of the entropy in each update
        """
        entropy = -float(th.stack(entropies).mean()) if entropies else 0.0
        self.signs.note(1 - self._current_progress_remaining, self._episodes, explained, entropy, self.action_space)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "signs"]
