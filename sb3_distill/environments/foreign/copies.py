"""
Copies of arrays that an environment may write into again.

A vector environment may hand out the same array at every step. Whoever keeps it then learns from observations that came after
the actions. Copies cost about a microsecond for vectors, and for 64 stacks of Atari frames (2 MB) about a tenth of a
millisecond in each step; so they are left out where an environment is sure to make arrays anew.
"""

from collections.abc import Callable, Mapping
from typing import cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from sb3_distill.errors import ArgumentError
from sb3_distill.trees import map_leaves, named_leaves
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
    :raises ValueError: from that function too, if it returns another number or shape than it says
    """
    if not writes_again(env):
        return last_obs, env.step

    def step(actions: Array) -> VecEnvStepReturn:
        observations, rewards, dones, infos = env.step(actions)
        own = copied(observations)
        _check_shapes(env, own)
        if not isinstance(infos, (list, tuple)) or len(infos) != env.num_envs:
            raise ArgumentError(
                f"{env} must return a list of {env.num_envs} infos, one for each environment, got {infos!r:.100}"
            )
        return (
            cast("VecEnvObs", own),
            _one_each(env, rewards, "rewards"),
            _one_each(env, dones, "dones").astype(bool),
            [info or {} for info in infos],
        )

    own = copied(last_obs)
    _check_shapes(env, own)
    return cast("VecEnvObs", own), step


def _one_each(env: VecEnv, values: Array, name: str) -> Array:
    """A copy with one number for each environment, whatever axes there are beside."""
    values = own_array(values)
    if values.size != env.num_envs:
        raise ArgumentError(f"{env} must return {env.num_envs} {name}, one for each environment, got shape {values.shape}")
    return values.reshape(env.num_envs)


def _check_shapes(env: VecEnv, observations: RawObservations) -> None:
    space = env.observation_space
    if isinstance(space, spaces.Dict) != isinstance(observations, Mapping):
        raise ArgumentError(f"{env} returns {type(observations).__name__} observations, its observation space is {space}")
    for key, part in named_leaves(observations):
        wanted = (env.num_envs, *((space[str(key)] if isinstance(space, spaces.Dict) else space).shape or ()))
        if part.shape != wanted:
            named = "" if key is None else f" {key!r}"
            raise ArgumentError(
                f"{env} must return observations{named} of shape {wanted}, as its space says, got {part.shape}"
            )


def vector_writes_again(env: VectorEnv) -> bool:
    """The same for a vector environment of Gymnasium, whose two copy unless asked not to."""
    if type(env).__module__.startswith(CAREFUL):
        return False
    is_gymnasiums = type(env) in (gym.vector.SyncVectorEnv, gym.vector.AsyncVectorEnv)
    return not (is_gymnasiums and getattr(env, "copy", False) is True)
