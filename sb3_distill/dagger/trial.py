"""An agent plays before it is cloned: a zip does not tell how it was trained, its returns do."""

from collections.abc import Callable
from typing import cast

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.dagger.expert import Expert
from sb3_distill.environments.finite import check_observations
from sb3_distill.environments.foreign.masks import random_actions
from sb3_distill.environments.vec_normalize import normalizer_of, raw_observations
from sb3_distill.errors import NotFiniteError, warn
from sb3_distill.spaces.checks import sees_images
from sb3_distill.typing import Array, RawObservations, Space

N_RETURNS = 16
"""Smallest number of returns that are compared."""
STEPS, SHARE = (50, 250), 20
"""Least and most steps of an episode that are played; between them, 1 / 20 of all steps that follow."""


def warn_if_it_plays_like_chance(expert: Expert, env: VecEnv, total_timesteps: int) -> None:
    """
    Play a few episodes, or their beginnings, and warn where the agent gets no more than random actions do. Nothing is played
    where nothing is doubtful: the statistics of the agent are there, or it sees images.

    :param expert: the agent
    :param env: the environments; they must be reset (and seeded) afterwards
    :param total_timesteps: steps that the clone takes
    :raises FloatingPointError: if an observation or a reward is not finite
    """
    normalizer = normalizer_of(env)
    is_seen = normalizer is not None and normalizer.norm_obs and expert.normalization is None
    space = env.observation_space
    if expert.normalization is not None or sees_images(space) or not (expert.is_from_file or is_vector(space) or is_seen):
        return
    n_steps = int(np.clip(total_timesteps // SHARE // env.num_envs, *STEPS))
    rng = np.random.default_rng(0)
    env.action_space.seed(int(rng.integers(2**31)))
    with raw_observations(env):
        chance = _returns(env, lambda _: random_actions(env), n_steps)
        played = _returns(env, lambda observations: expert(observations, expert.masks_of(env)), n_steps)
        if not _is_doubtful(played, chance):
            return
        other = ""
        if is_seen and normalizer is not None:
            through = Expert(expert.policy, normalizer)
            normalizer.norm_obs = True
            try:
                better = _returns(env, lambda shown: through._predict(shown, expert.masks_of(env))[0], n_steps)
            finally:
                normalizer.norm_obs = False
            if not _is_doubtful(better, chance):
                other = f"; behind the VecNormalize of this environment it gets {better.mean():.4g}: Expert(policy, env)"
    warn(
        f"the agent gets {played.mean():.4g} in {n_steps} steps or an episode, random actions get {chance.mean():.4g}: if it "
        "was trained on normalised observations, pass the statistics that were saved with it, as in "
        f"Expert.load(path, 'vecnormalize.pkl'){other}"
    )


def is_vector(space: Space) -> bool:
    """Whether observations are plain vectors of real numbers."""
    return isinstance(space, spaces.Box) and len(space.shape) == 1 and np.issubdtype(space.dtype, np.floating)


def _returns(env: VecEnv, act: Callable[[RawObservations], Array], n_steps: int) -> npt.NDArray[np.float64]:
    """Returns of the first ``n_steps`` steps of episodes ``(n,)``, n at least ``N_RETURNS``."""
    rounds = []
    for _ in range(-(-N_RETURNS // env.num_envs)):
        returns, running = np.zeros(env.num_envs), np.ones(env.num_envs, dtype=bool)
        observations = env.reset()
        for step in range(n_steps):
            check_observations(observations, step)
            observations, rewards, dones, _ = env.step(act(cast(RawObservations, observations)))
            if not np.isfinite(rewards).all():
                bad = int(np.flatnonzero(~np.isfinite(rewards))[0])
                raise NotFiniteError(f"reward is NaN or infinite at step {step} of environment {bad}, before learning")
            returns += rewards * running
            running &= ~dones
            if not running.any():
                break
        rounds.append(returns)
    return np.concatenate(rounds)


def _is_doubtful(played: npt.NDArray[np.float64], chance: npt.NDArray[np.float64]) -> bool:
    """Whether the agent does not clearly get more than random actions; not where rewards say nothing."""
    if np.ptp(np.concatenate([played, chance])) == 0:
        return False
    error = np.sqrt(played.var() / len(played) + chance.var() / len(chance))
    return bool(played.mean() <= chance.mean() + 2 * error)
