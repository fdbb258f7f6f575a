"""
Copies of arrays that an environment may write into again.

A vector environment may hand out the same array at every step. Whoever keeps it then learns from observations that came after
the actions. Copies cost about a microsecond for vectors, and for 64 stacks of Atari frames (2 MB) about a tenth of a
millisecond in each step; so they are left out where an environment is sure to make arrays anew.
"""

from collections.abc import Callable
from typing import cast

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from sb3_distill.trees import map_leaves
from sb3_distill.typing import Array, RawObservations, VectorEnv

CAREFUL = ("stable_baselines3.", "sb3_distill.", "nd_cartpole.")
"""Packages whose vector environments make new arrays in each step."""


def copied(observations: RawObservations | VecEnvObs) -> RawObservations:
    """
    :param observations: an array, or one for each key, of any strides
    :return: the same numbers in arrays of our own, which lie in the usual order
    """
    return map_leaves(own_array, cast("RawObservations", observations))  # no policy takes tuples


def own_array(values: object) -> Array:
    """A copy in the usual order, since torch takes no array that is turned round."""
    return np.array(values, order="C", copy=True)


def writes_again(env: VecEnv) -> bool:
    """Whether a vector environment, or a wrapper around it, is of another package, so that nothing is known of its arrays."""
    while type(env).__module__.startswith(CAREFUL):
        if not isinstance(env, VecEnvWrapper):
            return False
        env = env.venv
    return True


def own_steps(env: VecEnv, last_obs: VecEnvObs) -> tuple[VecEnvObs, Callable[[Array], VecEnvStepReturn]]:
    """
    :param env: a vector environment
    :param last_obs: its current observations
    :return: these, and a function that steps it; both copies of what it hands out, where it may write into that again
    """
    if not writes_again(env):
        return last_obs, env.step

    def step(actions: Array) -> VecEnvStepReturn:
        observations, rewards, dones, infos = env.step(actions)
        return cast("VecEnvObs", copied(observations)), own_array(rewards), own_array(dones), infos

    return cast("VecEnvObs", copied(last_obs)), step


def vector_writes_again(env: VectorEnv) -> bool:
    """The same for a vector environment of Gymnasium, whose two copy unless asked not to."""
    if type(env).__module__.startswith(CAREFUL):
        return False
    is_gymnasiums = type(env) in (gym.vector.SyncVectorEnv, gym.vector.AsyncVectorEnv)
    return not (is_gymnasiums and getattr(env, "copy", False) is True)
