"""What comes before the first rollout: observations to begin with, and rates that fit them."""

from typing import Any

import torch as th
from stable_baselines3.common.callbacks import BaseCallback

from sb3_distill.dataset.start import initialise_from_observations, shrink_initial_rates
from sb3_distill.environments.random_rollout import random_rollout
from sb3_distill.errors import ArgumentError
from sb3_distill.online.normalizing.statistics import HasStatistics
from sb3_distill.spaces.checks import sees_images
from sb3_distill.typing import RawObservations


class HasBeginning(HasStatistics):
    """A model that may look at its environment before it learns."""

    _generator: th.Generator
    n_steps: int
    gamma: float

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        if self.env is None:
            raise ArgumentError(
                "there is no environment to learn from: call `set_env(env)`, or load with `PPMO.load(path, env)`"
            )
        is_fresh = self.num_timesteps == 0 and self._n_updates == 0
        draws = self.dataset_init == "observations" and not self._is_continued
        # Layers returned by the encoder are fresh, so output scale is unknown; measure it on real observations.
        if is_fresh and (draws or (self._shrinks_initial_rates and self.encoder_from is not None)):
            n_steps = max(self.n_steps, -(-self.dataset.n_instances // self.n_envs))
            self.normalizer.gamma = self.gamma
            visited = random_rollout(self.env, n_steps, self.normalizer)
            if draws:
                initialise_from_observations(self.dataset, visited, self._generator, self.policy.normalize_images)
            self._describe(n_steps * self.n_envs)
            self.shrink_initial_rates(visited)
        return super()._setup_learn(*args, **kwargs)

    @property
    def _shrinks_initial_rates(self) -> bool:
        """Shrink initial rates for images, unless the user chose ``inner_learning_rate``."""
        return self.arguments.inner_learning_rate is None and sees_images(self.observation_space)

    def shrink_initial_rates(self, visited: list[RawObservations] | None = None) -> None:
        """
        :param visited: observations of the environments; ``None`` for random ones
        """
        if self._shrinks_initial_rates:
            some = self.distiller.sampler.sample(self.n_learners, th.Generator().manual_seed(0))
            shrink_initial_rates(self.dataset, some, visited, self.policy.normalize_images)
