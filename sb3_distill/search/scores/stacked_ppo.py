"""RL judges architectures, all seeds at once: a PPO whose policies are stacked, with the maths of SB3's."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import cast

import numpy as np
import torch as th
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.arguments import positive, whole
from sb3_distill.environments.foreign.hand_over import EnvSource
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.policy import ArchitecturePolicy
from sb3_distill.search.score import Score
from sb3_distill.search.scores.networks import checked_seeds, template
from sb3_distill.search.scores.stacked.acting import environments, mean_returns, name_of
from sb3_distill.search.scores.stacked.normalizer import StackedNormalizer
from sb3_distill.search.scores.stacked.ppo import PPOSettings, StackedPPO
from sb3_distill.search.scores.stacked.rollout import Stage, with_advantages
from sb3_distill.typing import Json, Kwargs

SAMPLING = 2**60
"""Added to the seed of a network for the noise of its actions and the order of its minibatches."""


class StackedOnlineScore:
    """
    Mean return of policies that PPO has trained, those of all seeds at once, in episodes of their own with sampled actions.

    A policy has its own initial parameters, noise and minibatches, which follow from its seed alone. The environments of all
    seeds are one ``VecEnv``, which the first seed seeds, so that a return depends on the other seeds through them.

    Convolutions of a stack are evaluated policy by policy, so that images gain little.

    :param env_id: id of the environment, or anything else of which any number of environments can be made
    :param n_timesteps: environment steps of each seed, the whole budget
    :param n_envs: environments of each seed
    :param n_episodes: episodes of the evaluation of each seed
    :param env_kwargs: arguments of the environment
    :param normalize: whether observations and rewards are normalised, those of each policy apart, as by a ``VecNormalize``
    :param learning_rate: step size, where the architecture names none
    :param linear: whether the step size falls to zero over the run; it is constant otherwise
    :param settings: ``PPOSettings``, or some of its fields
    :param name: name in tables and files
    :raises ValueError: for a number out of range, or an unknown setting
    """

    def __init__(
        self,
        env_id: EnvSource,
        n_timesteps: int,
        n_envs: int = 16,
        n_episodes: int = 50,
        env_kwargs: Kwargs | None = None,
        normalize: bool = False,
        learning_rate: float = 1e-3,
        linear: bool = True,
        settings: PPOSettings | Mapping[str, object] | None = None,
        name: str = "stacked online",
    ) -> None:
        self.env_id, self.budget, self.name = env_id, whole("n_timesteps", n_timesteps), name
        self.n_envs, self.n_episodes = whole("n_envs", n_envs), whole("n_episodes", n_episodes)
        self.env_kwargs, self.linear, self.settings = dict(env_kwargs or {}), bool(linear), PPOSettings.of(settings)
        self.normalize, self.learning_rate = bool(normalize), positive("learning_rate", learning_rate)

    def describe(self) -> Json:
        return {
            "evaluator": "stacked online", "env_id": name_of(self.env_id), "env_kwargs": self.env_kwargs,
            "n_timesteps": self.budget, "n_envs": self.n_envs, "n_episodes": self.n_episodes,
            "learning_rate": self.learning_rate, "linear": self.linear, "normalize": self.normalize,
            "settings": asdict(self.settings),
        }  # fmt: skip

    def score(self, architecture: PolicyArchitecture, seeds: Sequence[int], budget: int | None = None) -> Score:
        """
        :param architecture: the architecture
        :param seeds: one policy for each
        :param budget: environment steps of each policy; ``None`` for ``n_timesteps``
        :return: mean return of each policy; minus infinity for one whose gradient was not finite at some time
        :raises ValueError: if the architecture does not fit the spaces, or there are no seeds
        :raises FloatingPointError: if an observation or a reward is not finite
        """
        start, seeds = time.perf_counter(), checked_seeds(seeds)
        n_timesteps = self.budget if budget is None else whole("budget", budget)
        trained = self.train(architecture, seeds, n_timesteps)
        returns = mean_returns(trained.actors, self.env_id, self.n_episodes, self.n_envs, seeds, self.env_kwargs)
        returns = np.where(trained.adam.diverged.numpy(), -np.inf, returns)
        n_steps = self._n_rollouts(n_timesteps) * self._n_per_rollout * len(seeds)
        return Score(tuple(returns.tolist()), time.perf_counter() - start, n_steps)

    def train(self, architecture: PolicyArchitecture, seeds: Sequence[int], n_timesteps: int | None = None) -> StackedPPO:
        """
        :param architecture: the architecture
        :param seeds: one policy for each
        :param n_timesteps: environment steps of each policy, rounded up to whole rollouts; ``None`` for the whole budget
        :return: the trained policies
        :raises ValueError: if the architecture does not fit the spaces, or there are no seeds
        :raises FloatingPointError: if an observation or a reward is not finite
        """
        seeds = checked_seeds(seeds)
        env = environments(self.env_id, self.n_envs * len(seeds), seeds[0], self.env_kwargs)
        try:
            policy = template(architecture, env.observation_space, env.action_space)
            return self._learn(policy, env, seeds, self.budget if n_timesteps is None else n_timesteps)
        finally:
            env.close()

    def _learn(self, policy: ArchitecturePolicy, env: VecEnv, seeds: Sequence[int], n_timesteps: int) -> StackedPPO:
        settings, rate = self.settings, policy.architecture.rate(self.learning_rate)
        normalizer = None
        if self.normalize:
            normalizer = StackedNormalizer(len(seeds), policy.observation_space, self.n_envs, settings.gamma)
        ppo, stage = StackedPPO(policy, seeds, settings, rate), Stage(env, normalizer)
        generators = [th.Generator().manual_seed((seed + SAMPLING) % 2**63) for seed in seeds]
        n_per_rollout = self._n_per_rollout
        for iteration in range(self._n_rollouts(n_timesteps)):
            noise = cast(th.Tensor, ppo.actors.noise(settings.n_steps, self.n_envs, generators))
            played = stage.play(ppo.actors, noise)
            rollout = with_advantages(played, ppo.actors, ppo.values, ppo.log_prob, settings.gamma, settings.gae_lambda)
            if self.linear:  # SB3 too counts the rollout that it has just played
                ppo.adam.set_rate(rate * max(0.0, 1 - (iteration + 1) * n_per_rollout / n_timesteps))
            draws = ([th.randperm(n_per_rollout, generator=g) for g in generators] for _ in range(settings.n_epochs))
            ppo.update(rollout, map(th.stack, draws))
        ppo.actors.normalization = normalizer  # the stage has normalised so far
        return ppo

    @property
    def _n_per_rollout(self) -> int:
        """Transitions of one policy in a rollout."""
        return self.settings.n_steps * self.n_envs

    def _n_rollouts(self, n_timesteps: int) -> int:
        return -(-n_timesteps // self._n_per_rollout)
