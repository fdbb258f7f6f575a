"""Actions that are allowed."""

import numpy as np

from sb3_distill.spaces.sizes import class_sizes
from sb3_distill.typing import Array, Space


def are_allowed(actions: Array, masks: Array, space: Space) -> Array:
    """
    :param actions: actions ``(n, ...)``
    :param masks: which choices are allowed, one after the other ``(n, n_choices)``, as in ``MaskablePPO``
    :param space: action space: ``Discrete``, ``MultiDiscrete`` or ``MultiBinary``
    :return: whether every choice of an action is allowed ``(n,)``
    """
    sizes = class_sizes(space)
    first = np.cumsum(sizes) - sizes
    chosen = first + np.asarray(actions).reshape(len(actions), -1).astype(int)
    allowed = np.take_along_axis(masks.reshape(len(actions), -1).astype(bool), chosen, axis=1)
    return np.asarray(allowed.all(axis=1))
