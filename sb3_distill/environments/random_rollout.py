"""Observations that random actions visit."""

from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.environments.finite import check_observations


def visit(env: VecEnv, n_steps: int) -> list[Any]:
    """
    Let random actions drive an environment, from its start. Statistics of a ``VecNormalize`` follow.

    :param env: its action space is the source of randomness
    :param n_steps: number of steps of each environment
    :return: the observations after each step, as they leave ``env``, one by one, all environments of a step in a row
    :raises FloatingPointError: if one is not finite
    """
    env.reset()
    visited: list[Any] = []
    for step in range(n_steps):
        observations: Any = env.step(np.stack([env.action_space.sample() for _ in range(env.num_envs)]))[0]
        check_observations(observations, step + 1)
        if isinstance(observations, dict):
            visited += [{key: value[i] for key, value in observations.items()} for i in range(env.num_envs)]
        else:
            visited += list(observations)
    return visited
