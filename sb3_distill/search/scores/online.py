"""RL judges architectures: SB3's PPO trains a policy for each seed. It is the truth that cheaper ways are held against."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from sb3_distill.arguments import whole
from sb3_distill.environments.make import MakeEnv, make_vec_env
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.play import play_episodes
from sb3_distill.generalisation.recipes import Recipe
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.policy import ArchitecturePolicy
from sb3_distill.search.score import Score
from sb3_distill.search.scores.networks import checked_seeds
from sb3_distill.search.scores.stacked.acting import EVALUATION, name_of
from sb3_distill.typing import Json, Kwargs, RawObservations

SETTINGS: Mapping[str, Any] = {"n_steps": 64, "batch_size": 256, "n_epochs": 6}
"""Arguments of ``PPO`` that differ from its defaults: short rollouts of 16 environments."""


class OnlineScore:
    """
    Mean return of policies that SB3's PPO has trained, in episodes of their own with sampled actions.

    :param env_id: id of the environment, or a function that makes one
    :param n_timesteps: environment steps of each seed, the whole budget
    :param n_envs: environments of each seed
    :param n_episodes: episodes of the evaluation of each seed
    :param env_kwargs: arguments of the environment
    :param normalize: whether a ``VecNormalize`` normalises observations and rewards
    :param learning_rate: step size, which falls to zero over the run, where the architecture names none
    :param settings: arguments of ``PPO``, beside ``SETTINGS``
    :param name: name in tables and files
    :raises ValueError: for a number below 1, or a learning rate that is not positive
    """

    def __init__(
        self,
        env_id: str | MakeEnv,
        n_timesteps: int,
        n_envs: int = 16,
        n_episodes: int = 50,
        env_kwargs: Kwargs | None = None,
        normalize: bool = False,
        learning_rate: float = 1e-3,
        settings: Mapping[str, Any] | None = None,
        name: str = "online",
    ) -> None:
        self.env_id, self.budget, self.name = env_id, whole("n_timesteps", n_timesteps), name
        self.n_envs, self.n_episodes = whole("n_envs", n_envs), whole("n_episodes", n_episodes)
        self.env_kwargs, self.normalize = dict(env_kwargs or {}), normalize
        self.learning_rate = Recipe("adam", learning_rate, 1).learning_rate  # refuses what is none
        self.settings = {**SETTINGS, **(settings or {})}

    def describe(self) -> Json:
        return {
            "evaluator": "online", "env_id": name_of(self.env_id), "env_kwargs": self.env_kwargs, "n_timesteps": self.budget,
            "n_envs": self.n_envs, "n_episodes": self.n_episodes, "normalize": self.normalize,
            "learning_rate": self.learning_rate, "settings": {key: repr(value) for key, value in self.settings.items()},
        }  # fmt: skip

    def score(self, architecture: PolicyArchitecture, seeds: Sequence[int], budget: int | None = None) -> Score:
        """
        :param architecture: the architecture
        :param seeds: one training for each
        :param budget: environment steps of each training; ``None`` for ``n_timesteps``
        :return: mean return of each policy; minus infinity for one whose actions are not finite any more
        :raises ValueError: if the architecture does not fit the spaces, there are no seeds, or the budget is below two
            rollouts, so that the step size would be zero before the first update
        """
        start, n_timesteps = time.perf_counter(), self.budget if budget is None else whole("budget", budget)
        if n_timesteps < (fewest := 2 * self.n_envs * int(self.settings["n_steps"])):
            raise ArgumentError(f"PPO needs two rollouts at least, {fewest:,} steps, got {n_timesteps:,}: raise the budget")
        runs = [self._run(architecture, seed, n_timesteps) for seed in checked_seeds(seeds)]
        return Score(tuple(mean for mean, _ in runs), time.perf_counter() - start, sum(steps for _, steps in runs))

    def train(self, architecture: PolicyArchitecture, seed: int, n_timesteps: int | None = None) -> PPO:
        """
        :param architecture: the architecture
        :param seed: seed of the training
        :param n_timesteps: environment steps; ``None`` for the whole budget
        :return: the trained model
        """
        rate = architecture.rate(self.learning_rate)
        kwargs = {"architecture": architecture.to_json()}
        model = PPO(
            ArchitecturePolicy, self._make(self.n_envs, seed), seed=seed % 2**32, policy_kwargs=kwargs, device="cpu",
            learning_rate=LinearSchedule(rate, 0.0, 1.0), **self.settings,
        )  # fmt: skip
        return model.learn(self.budget if n_timesteps is None else n_timesteps)

    def _make(self, n_envs: int, seed: int) -> VecEnv:
        env = make_vec_env(self.env_id, n_envs, seed=seed % 2**31, env_kwargs=dict(self.env_kwargs))
        return VecNormalize(env) if self.normalize else env

    def _run(self, architecture: PolicyArchitecture, seed: int, n_timesteps: int) -> tuple[float, int]:
        try:
            model = self.train(architecture, seed, n_timesteps)
            return self._mean_return(model, seed), model.num_timesteps
        except ValueError as error:  # PyTorch's distributions refuse what is not finite
            if "invalid values" not in str(error):
                raise
            return -np.inf, n_timesteps

    def _mean_return(self, model: PPO, seed: int) -> float:
        training = model.get_env()
        assert training is not None
        env = self._make(min(self.n_envs, self.n_episodes), seed + EVALUATION)
        if isinstance(env, VecNormalize) and isinstance(training, VecNormalize):
            env.training, env.norm_reward, env.obs_rms = False, False, training.obs_rms

        def act(observations: RawObservations) -> np.ndarray[Any, Any]:
            return model.predict(observations, deterministic=False)[0]  # type: ignore[arg-type]

        try:
            return float(play_episodes(env, act, 1, self.n_episodes).mean())
        finally:
            for one in (training, env):
                one.close()
