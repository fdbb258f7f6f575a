"""A rollout of random actions, for observations that a task really shows."""

from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.environments.finite import check_observations
from sb3_distill.environments.foreign.copies import copied
from sb3_distill.environments.foreign.masks import random_actions
from sb3_distill.trees import index
from sb3_distill.typing import RawObservations


def random_rollout(env: VecEnv, n_steps: int) -> list[RawObservations]:
    """
    Reset an environment and let random actions drive it. Statistics of a ``VecNormalize`` are updated on the way.

    :param env: its action space is the source of randomness
    :param n_steps: number of steps of each environment
    :return: single observations after each step, as they leave ``env``: a flat list of ``n_steps * n_envs``, step-major
        (environments 0 to n - 1 of the first step, then those of the second)
    :raises FloatingPointError: if an observation is not finite
    """
    env.reset()
    visited: list[RawObservations] = []
    for step in range(n_steps):
        observations = copied(env.step(random_actions(env))[0])
        check_observations(observations, step + 1)
        visited += [index(observations, i) for i in range(env.num_envs)]
    return visited
