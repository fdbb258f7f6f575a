"""N-dimensional cart-pole as a Gymnasium environment: one system."""

from typing import Any, TypeAlias, cast

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.envs.classic_control.utils import maybe_parse_reset_bounds

from nd_cartpole import dynamics
from nd_cartpole.rendering import Renderer

Observation: TypeAlias = npt.NDArray[np.float32]
Info: TypeAlias = dict[str, Any]


def check_n_dims(n_dims: int) -> int:
    """
    :param n_dims: number of axes
    :return: the same number as an ``int``
    :raises ValueError: if it is not a positive integer
    """
    if int(n_dims) != n_dims or n_dims < 1:
        raise ValueError(f"`n_dims` must be a positive integer, got {n_dims!r}")
    return int(n_dims)


def observation_space(n_dims: int) -> spaces.Box:
    """
    :param n_dims: number of axes ``N``
    :return: the space of the flattened states, shape ``(4 * N,)``; bounds are twice the limits that end an episode
    """
    high = np.tile([2 * dynamics.POSITION_LIMIT, np.inf, 2 * dynamics.ANGLE_LIMIT, np.inf], n_dims).astype(np.float32)
    return spaces.Box(-high, high, dtype=np.float32)


class NDCartPoleEnv(gym.Env[Observation, np.int64]):
    """
    ## Description
    Cart-pole with `N` degrees of freedom, after section 4 of Wilhelm & Ventura, "Distilling Reinforcement Learning into
    Single-Batch Datasets" (2025). With one degree of freedom it is Gymnasium's `CartPole-v1`.

    ## Action Space
    `Discrete(2 * N)`. Action `a` pushes the cart along axis `a // 2`: with +10 N if `a` is odd, with -10 N if it is even.
    No force acts along the other axes during that step.

    ## Observation Space
    `Box` of shape `(4 * N,)`, float32. For each axis in turn:

    | Offset | Quantity              | Unit  | Bound     |
    |--------|-----------------------|-------|-----------|
    | 0      | cart position         | m     | 4.8       |
    | 1      | cart velocity         | m/s   | unbounded |
    | 2      | pole angle            | rad   | 0.418     |
    | 3      | pole angular velocity | rad/s | unbounded |

    ## Rewards
    +1 for every step, the last one included.

    ## Starting State
    Every entry of the state is uniform in `(-0.05, 0.05)`.

    ## Episode End
    The episode *terminates* when along any axis the cart leaves 2.4 m or the pole leaves 12 degrees. It is *truncated*
    after 500 steps, by the `TimeLimit` wrapper that `gym.make` adds.

    ## Arguments
    * `n_dims` (default 2): the number of axes `N`.
    * `render_mode`: `"rgb_array"`, `"human"` or `None`. A frame shows a side view per axis and, for two axes, the view
      from above.

    `reset(options={"low": a, "high": b})` changes the bounds of the starting state.

    ## Version History
    * v0: first version.
    """

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": 50}

    def __init__(self, n_dims: int = 2, render_mode: str | None = None) -> None:
        self.n_dims = check_n_dims(n_dims)
        self.render_mode = render_mode
        self.action_space = spaces.Discrete(2 * self.n_dims)
        self.observation_space = cast("spaces.Space[Observation]", observation_space(self.n_dims))
        self.state: dynamics.FloatArray | None = None
        self._forces = dynamics.forces(self.n_dims)
        self._terminated = False
        self._renderer: Renderer | None = None

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Observation, Info]:
        """Draw a starting state. Options: `low` and `high`, the bounds of each entry."""
        super().reset(seed=seed)
        low, high = maybe_parse_reset_bounds(options, -dynamics.RESET_BOUND, dynamics.RESET_BOUND)
        self.state = self.np_random.uniform(low, high, size=(self.n_dims, 4))
        self._terminated = False
        if self.render_mode == "human":
            self.render()
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, Info]:
        """Push the cart once; see the class for the meaning of `action`."""
        if not self.action_space.contains(action):
            raise ValueError(f"action {action!r} is not in {self.action_space}")
        if self.state is None:
            raise RuntimeError("call `reset` before `step`")
        reward = 1.0
        if self._terminated:
            gym.logger.warn("`step` was called after the end of an episode; call `reset` first.")
            reward = 0.0
        self.state = dynamics.step(self.state, self._forces[action])
        self._terminated = bool(dynamics.out_of_bounds(self.state))
        if self.render_mode == "human":
            self.render()
        return self._observation(), reward, self._terminated, False, {}

    def render(self) -> npt.NDArray[np.uint8] | None:
        """Draw the state: an `(H, W, 3)` array for `"rgb_array"`, a window for `"human"`."""
        if self.render_mode is None:
            gym.logger.warn('`render` needs a render mode, e.g. gym.make(..., render_mode="rgb_array").')
            return None
        if self.state is None:
            raise RuntimeError("call `reset` before `render`")
        if self._renderer is None:
            self._renderer = Renderer(self.n_dims, self.render_mode, self.metadata["render_fps"])
        return self._renderer.draw(self.state)

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _observation(self) -> Observation:
        assert self.state is not None
        return self.state.reshape(-1).astype(np.float32)
