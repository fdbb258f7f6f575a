"""
Sizes that follow from spaces.

* ``min_instances``: Eq. 3 of the paper, how many instances a dataset needs.
* ``n_outputs``: the width of a label.
* ``n_states``: how many observations there are.
* ``preprocessed_shape``: the shape of a synthetic observation.
"""

import math

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_flattened_obs_dim

from sb3_distill.errors import ArgumentError
from sb3_distill.typing import Shape, Space


def min_instances(action_space: Space) -> int:
    """
    Eq. 3 of Wilhelm & Ventura (2025): ``k_min = ceil(c / 2) + 1`` soft-labelled instances separate ``c`` classes.

    :param action_space: a discrete action space, see ``n_classes``
    :return: ``k_min``
    :raises ValueError: for a ``Box``, where the equation says nothing
    """
    return math.ceil(n_classes(action_space) / 2) + 1


def n_classes(action_space: Space) -> int:
    """
    The ``c`` of Eq. 3: how many values the labels must tell apart.

    :param action_space: ``Discrete`` (n), ``MultiDiscrete`` (sum of its sizes) or ``MultiBinary`` (2 n)
    :raises ValueError: for any other space
    """
    return sum(class_sizes(action_space))


def class_sizes(action_space: Space) -> list[int]:
    """
    :param action_space: ``Discrete``, ``MultiDiscrete`` or ``MultiBinary``
    :return: number of values of each choice, one after the other
    :raises ValueError: for any other space
    """
    if isinstance(action_space, spaces.Discrete):
        return [int(action_space.n)]
    if isinstance(action_space, spaces.MultiDiscrete):
        return [int(size) for size in action_space.nvec.flat]
    if isinstance(action_space, spaces.MultiBinary):
        return [2] * int(np.prod(action_space.shape))
    raise ArgumentError(f"Eq. 3 counts discrete actions; {action_space} has none, choose `n_instances` yourself")


def n_outputs(action_space: Space) -> int:
    """
    Width of the last layer of an SB3 actor, hence of a label: logits, or means of a Gaussian.

    :param action_space: any action space that PPO supports
    :raises ValueError: for any other space
    """
    if isinstance(action_space, (spaces.Box, spaces.MultiBinary)):
        return int(np.prod(action_space.shape))
    return n_classes(action_space)


def n_states(observation_space: Space) -> int:
    """
    :param observation_space: any observation space
    :return: how many observations a ``Discrete`` or ``MultiDiscrete`` space has; 0 for any other
    """
    if isinstance(observation_space, spaces.Discrete):
        return int(observation_space.n)
    if isinstance(observation_space, spaces.MultiDiscrete):
        return math.prod(int(size) for size in observation_space.nvec.flat)
    return 0


def preprocessed_shape(space: Space) -> Shape | dict[str, Shape]:
    """
    Shape of one observation as a network sees it, after SB3's ``preprocess_obs`` (one-hot for discrete spaces).

    :param space: an observation space
    :return: a shape, or one per key for a ``Dict``
    :raises ValueError: for a space that SB3's policies do not take
    """
    if isinstance(space, spaces.Dict):
        return {key: _shape_of_part(part) for key, part in space.spaces.items()}
    return _shape_of_part(space)


def _shape_of_part(space: Space) -> Shape:
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        return (get_flattened_obs_dim(space),)
    if isinstance(space, (spaces.Box, spaces.MultiBinary)):
        return space.shape
    raise ArgumentError(f"SB3's policies take no {type(space).__name__} observations")
