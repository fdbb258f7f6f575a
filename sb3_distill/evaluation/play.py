"""Learners play episodes."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch as th
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, is_vecenv_wrapped
from tqdm.auto import tqdm

from sb3_distill.environments.foreign.copies import own_steps
from sb3_distill.evaluation.result import Returns
from sb3_distill.learners.population import Learners
from sb3_distill.teaching.acting import Actor
from sb3_distill.typing import Array, RawObservations


class ActingLearners:
    """
    Actions of M taught learners for the observations of n environments each.

    :param actor: how learners act
    :param learners: M learners
    :param generator: source of randomness of sampled actions (CPU)
    :param deterministic: whether the most likely action is taken
    :param masks: function that tells which actions are allowed now ``(M * n, n_choices)``; ``None`` where all are
    """

    def __init__(
        self, actor: Actor, learners: Learners, generator: th.Generator, deterministic: bool,
        masks: Callable[[], Array] | None = None,
    ) -> None:  # fmt: skip
        self.actor, self.learners, self.masks = actor, learners, masks
        self.generator, self.deterministic = generator, deterministic
        self.noise: th.Tensor | None = None

    def __call__(self, observations: RawObservations) -> Array:
        """
        :param observations: raw observations ``(M * n, *obs)``, those of the first learner first
        :return: actions as the environments take them ``(M * n, *action)``
        """
        seen = self.actor.see(self.learners, observations)
        if not self.deterministic and (seen.latent is None or self.noise is None):  # gSDE keeps its exploration matrices
            latent_dim = None if seen.latent is None else seen.latent.shape[1]
            self.noise = self.actor.distribution.noise(len(seen.outputs), self.generator, latent_dim)
        masks = None if self.masks is None else self.masks()
        return self.actor.to_env(self.actor.sample(seen, self.noise, masks))


def play_episodes(
    venv: VecEnv,
    act: Callable[[RawObservations], Array],
    n_learners: int,
    n_episodes: int,
    progress_bar: bool = False,
) -> Returns:
    """
    Each environment plays the same number of episodes (short ones must not count more), the first ones one more.

    :param venv: environments, an equal share for each learner, those of the first learner first
    :param act: function from raw observations of all environments to actions
    :param n_learners: number of learners
    :param n_episodes: number of episodes of each learner
    :param progress_bar: whether a bar is shown
    :return: undiscounted return of each episode ``(n_learners, n_episodes)``, those of a learner's first environment first
    """
    per_learner = venv.num_envs // n_learners
    quota = np.full(per_learner, n_episodes // per_learner)
    quota[: n_episodes % per_learner] += 1
    place = np.tile(np.cumsum(quota) - quota, n_learners)  # so that episodes of equal seeds have equal places
    quota = np.tile(quota, n_learners)
    returns = np.zeros((n_learners, n_episodes))
    running = np.zeros(venv.num_envs)
    # A monitor knows the true return, and where an episode ends (a lost life may only look like it).
    monitored = is_vecenv_wrapped(venv, VecMonitor) or venv.env_is_wrapped(Monitor)[0]
    observations, step = own_steps(venv, venv.reset())
    with tqdm(total=returns.size, unit="episode", disable=not progress_bar) as bar:
        while quota.any():
            actions = act(cast(RawObservations, observations))  # the type of SB3 has tuples, which no policy takes
            observations, rewards, dones, infos = step(actions)
            running += rewards
            for i in np.flatnonzero(dones).tolist():
                if monitored and "episode" not in infos[i]:
                    continue
                if quota[i]:
                    learner = i // per_learner
                    returns[learner, place[i]] = infos[i]["episode"]["r"] if monitored else running[i]
                    place[i] += 1
                    quota[i] -= 1
                    bar.update()
                running[i] = 0.0
    return returns


def play_in_turn(
    venv: VecEnv, acts: Sequence[Callable[[RawObservations], Array]], n_episodes: int, progress_bar: bool = False
) -> Returns:
    """
    One learner after the other plays in all environments, where these cannot be shared out.

    :param venv: environments
    :param acts: for each learner a function from raw observations of all environments to actions
    :param n_episodes: number of episodes of each learner
    :param progress_bar: whether a bar is shown
    :return: see ``play_episodes``
    """
    turns = tqdm(acts, unit="learner", disable=not progress_bar)
    return np.concatenate([play_episodes(venv, act, 1, n_episodes) for act in turns])
