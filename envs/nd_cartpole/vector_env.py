"""N-dimensional cart-pole as a Gymnasium vector environment: many systems, one call of the physics."""

from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.envs.classic_control.utils import maybe_parse_reset_bounds
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from nd_cartpole import dynamics
from nd_cartpole.env import Info, check_n_dims, observation_space
from nd_cartpole.rendering import Renderer

Observations: TypeAlias = npt.NDArray[np.float32]
Actions: TypeAlias = npt.NDArray[np.integer]
Flags: TypeAlias = npt.NDArray[np.bool_]
RewardsOrFlags: TypeAlias = npt.NDArray[Any]
"""Gymnasium has one type for both."""


class NDCartPoleVectorEnv(VectorEnv[Observations, Actions, RewardsOrFlags]):
    """
    ``num_envs`` N-dimensional cart-poles stepped together; see ``NDCartPoleEnv`` for the task.

    :param num_envs: number of systems
    :param n_dims: number of axes ``N`` of each
    :param max_episode_steps: number of steps after which an episode is truncated
    :param render_mode: ``"rgb_array"`` or ``None``; ``render`` returns one frame per system
    :param autoreset_mode: ``NEXT_STEP`` (Gymnasium's default: the step after an end resets, ignores the action and
        gives no reward) or ``SAME_STEP`` (the observation returned at an end is the next episode's first, the last one
        is ``info["final_obs"]``)
    :raises ValueError: for another autoreset mode, or an ``n_dims`` that is not a positive integer
    """

    metadata: Info = {"render_modes": ["rgb_array"], "render_fps": 50, "autoreset_mode": AutoresetMode.NEXT_STEP}
    _renderer: Renderer | None = None  # here, since Gymnasium 1.1 closes environments that could not be made

    def __init__(
        self,
        num_envs: int = 1,
        n_dims: int = 2,
        max_episode_steps: int = 500,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        if self.autoreset_mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
            raise ValueError(f"`autoreset_mode` must be NEXT_STEP or SAME_STEP, got {autoreset_mode}")
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.num_envs = num_envs
        self.n_dims = check_n_dims(n_dims)
        self.max_episode_steps = max_episode_steps
        self.render_mode = render_mode
        self.single_action_space = spaces.Discrete(2 * self.n_dims)
        self.single_observation_space = observation_space(self.n_dims)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.state: dynamics.FloatArray | None = None
        self._forces = dynamics.forces(self.n_dims)
        self._bounds = (-dynamics.RESET_BOUND, dynamics.RESET_BOUND)

    def reset(
        self,
        *,
        seed: int | None = None,
        options: Info | None = None,
    ) -> tuple[Observations, Info]:
        """Start a new episode in every system. Options: `low` and `high`, the bounds of each entry of the state."""
        super().reset(seed=seed)
        self._bounds = maybe_parse_reset_bounds(options, -dynamics.RESET_BOUND, dynamics.RESET_BOUND)
        self.state = self._starting_states(self.num_envs)
        self._steps = np.zeros(self.num_envs, dtype=np.int64)
        self._ended: Flags = np.zeros(self.num_envs, dtype=np.bool_)
        return self._observations(self.state), {}

    def step(self, actions: Actions) -> tuple[Observations, npt.NDArray[np.float32], Flags, Flags, Info]:
        """Push every cart once. `actions` has shape `(num_envs,)`."""
        if self.state is None:
            raise RuntimeError("call `reset` before `step`")
        try:
            force = self._forces[np.asarray(actions).reshape(self.num_envs).astype(np.uint32)]
        except (IndexError, ValueError):
            raise ValueError(f"actions must have shape ({self.num_envs},) and lie in [0, {2 * self.n_dims})") from None
        self.state = dynamics.step(self.state, force)
        self._steps += 1
        terminated = dynamics.out_of_bounds(self.state)
        truncated: Flags = self._steps >= self.max_episode_steps
        rewards = np.ones(self.num_envs, dtype=np.float32)
        info: Info = {}
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            if self._ended.any():
                self._restart(self._ended)
                rewards[self._ended] = 0.0
                terminated[self._ended] = False
                truncated[self._ended] = False
            self._ended = terminated | truncated
            return self._observations(self.state), rewards, terminated, truncated, info
        ended = terminated | truncated
        if ended.any():
            info = {"final_obs": self._observations(self.state), "_final_obs": ended, "final_info": {}, "_final_info": ended}
            self._restart(ended)
        return self._observations(self.state), rewards, terminated, truncated, info

    def render(self) -> tuple[npt.NDArray[np.uint8], ...] | None:
        """One `(H, W, 3)` frame per system."""
        if self.render_mode is None:
            gym.logger.warn('`render` needs a render mode, e.g. gym.make_vec(..., render_mode="rgb_array").')
            return None
        if self.state is None:
            raise RuntimeError("call `reset` before `render`")
        if self._renderer is None:
            self._renderer = Renderer(self.n_dims, "rgb_array", self.metadata["render_fps"])
        frames = [self._renderer.draw(state) for state in self.state]
        return tuple(frame for frame in frames if frame is not None)

    def close_extras(self, **kwargs: object) -> None:
        """Release the drawing surface, if there is one."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _starting_states(self, n: int) -> dynamics.FloatArray:
        return self.np_random.uniform(*self._bounds, size=(n, self.n_dims, 4))

    def _restart(self, which: Flags) -> None:
        assert self.state is not None
        self.state[which] = self._starting_states(int(which.sum()))
        self._steps[which] = 0

    def _observations(self, state: dynamics.FloatArray) -> Observations:
        return state.reshape(self.num_envs, -1).astype(np.float32)
