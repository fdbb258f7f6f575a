"""Small recordings for tests."""

import numpy as np
from gymnasium import spaces

from sb3_distill.offline import Recording
from sb3_distill.offline.checks import Columns
from sb3_distill.offline.source import Source

DICT = spaces.Dict({"place": spaces.Discrete(5), "speed": spaces.Box(-1, 1, (2,))})


def columns(n=6, ends=(2, 6), space=None, action_space=None):
    """Two episodes: one terminated, one that the recording does not see to its end."""
    space = spaces.Box(-np.inf, np.inf, (3,)) if space is None else space
    action_space = spaces.Discrete(2) if action_space is None else action_space
    space.seed(0)
    action_space.seed(0)

    def samples(count):
        drawn = [space.sample() for _ in range(count)]
        if isinstance(space, spaces.Dict):
            return {key: np.stack([one[key] for one in drawn]) for key in space.spaces}
        return np.stack(drawn)

    terminated = np.zeros(n, dtype=bool)
    terminated[ends[0] - 1] = True
    return Columns(
        samples(n),
        np.stack([action_space.sample() for _ in range(n)]),
        np.arange(n, dtype=float),
        terminated,
        np.zeros(n, dtype=bool),
        np.array(ends),
        samples(len(ends)),
        np.zeros(len(ends), dtype=int),
    )


def recording(space=None, action_space=None, **changes):
    space = spaces.Box(-np.inf, np.inf, (3,)) if space is None else space
    action_space = spaces.Discrete(2) if action_space is None else action_space
    changed = columns(space=space, action_space=action_space)._replace(**changes)
    return Recording(space, action_space, changed, [Source("test")])
