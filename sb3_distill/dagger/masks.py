"""Actions that are allowed."""

import numpy as np
from gymnasium import spaces

from sb3_distill.typing import Array, Space


def are_allowed(actions: Array, masks: Array, space: Space) -> Array:
    """
    :param actions: actions ``(n, ...)``
    :param masks: which choices are allowed, one after the other ``(n, n_choices)``, as in ``MaskablePPO``
    :param space: action space: ``Discrete``, ``MultiDiscrete`` or ``MultiBinary``
    :return: whether every choice of an action is allowed ``(n,)``
    """
    if isinstance(space, spaces.MultiDiscrete):
        sizes = space.nvec.flatten()
    elif isinstance(space, spaces.MultiBinary):
        sizes = np.full(int(np.prod(space.shape)), 2)
    else:
        assert isinstance(space, spaces.Discrete)
        sizes = np.array([space.n])
    first = np.cumsum(sizes) - sizes
    chosen = first + np.asarray(actions).reshape(len(actions), -1).astype(int)
    allowed = np.take_along_axis(masks.reshape(len(actions), -1).astype(bool), chosen, axis=1)
    return np.asarray(allowed.all(axis=1))
