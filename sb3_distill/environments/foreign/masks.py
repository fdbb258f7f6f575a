"""Which actions an environment allows, as sb3-contrib's ``MaskablePPO`` asks for them."""

from collections.abc import Callable

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.errors import ArgumentError
from sb3_distill.spaces.sizes import class_sizes, n_classes
from sb3_distill.typing import Array

NAME = "action_masks"
"""The method of an environment that says which choices are allowed now."""


def has_masks(env: VecEnv) -> bool:
    """Whether all environments have a method ``action_masks``."""
    try:
        return bool(env.has_attr(NAME))
    except NotImplementedError:  # environments that are stepped together may have no attributes of their own
        return False


def masks_of(env: VecEnv) -> Array:
    """
    :param env: environments that have masks
    :return: which choices are allowed now, one after the other ``(n, n_choices)``
    :raises ValueError: if there is not one entry for each choice
    """
    masks = [np.asarray(mask, dtype=bool).ravel() for mask in env.env_method(NAME)]
    wanted = n_classes(env.action_space)
    if wrong := [mask.size for mask in masks if mask.size != wanted]:
        raise ArgumentError(
            f"`{NAME}` of an environment has {wrong[0]} entries, and its {env.action_space} has {wanted} choices"
        )
    return np.stack(masks)


def masks_for_learners(env: VecEnv) -> Callable[[], Array] | None:
    """
    :param env: any environments
    :return: a function that asks which choices are allowed; ``None`` where nobody says so, or actions are no choices
    """
    is_choice = isinstance(env.action_space, (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary))
    return (lambda: masks_of(env)) if is_choice and has_masks(env) else None


def random_actions(env: VecEnv) -> Array:
    """
    :param env: any environments; their action space is the source of randomness
    :return: one random action for each, among those that are allowed now: some environments break at any other
    """
    space, masks = env.action_space, masks_for_learners(env)
    if masks is None:
        return np.stack([space.sample() for _ in range(env.num_envs)])
    ends = np.cumsum(class_sizes(space))[:-1]
    drawn = [
        [space.np_random.choice(np.flatnonzero(part) if part.any() else len(part)) for part in np.split(mask, ends)]
        for mask in masks()
    ]
    return np.array(drawn, dtype=space.dtype).reshape(env.num_envs, *(space.shape or ()))
