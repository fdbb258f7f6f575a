"""ALE's vector environment behind SB3's interface: emulator, preprocessing and frame stack outside of Python."""

import copy
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from sb3_distill.environments.atari.games import rom_path
from sb3_distill.environments.gymnasium_vec_env import GymnasiumVecEnv, registered_name
from sb3_distill.errors import ArgumentError, MissingExtraError

ENTRY_POINT = "ale_py.env:AtariEnv"
MADE_ANEW = ("game", "obs_type", "frameskip", "repeat_action_probability", "full_action_space", "max_num_frames_per_episode")
"""Arguments of ALE's single environments that are taken over or replaced by what is seen here."""


def is_atari(env_id: str) -> bool:
    """Whether an id is that of a game of ALE, seen as pictures."""
    registered = gym.registry.get(registered_name(env_id))
    return registered is not None and registered.entry_point == ENTRY_POINT


def is_atari_vector(env: Any) -> bool:
    """Whether that is ALE's own vector environment."""
    return bool(type(env.unwrapped).__module__ == "ale_py.vector_env")


class AtariVecEnv(GymnasiumVecEnv):
    """
    Atari games as pictures, preprocessed as by SB3's ``AtariWrapper`` and stacked as by ``VecFrameStack``. What it takes is
    named as there; unlike there, points are not clipped, a lost life does not end an episode, and FIRE is not pressed: the
    paper's choice.

    :param env_id: id of a game, e.g. ``"CentipedeNoFrameskip-v4"`` or ``"ALE/Pong-v5"``
    :param n_envs: number of environments
    :param seed: of the environments
    :param n_threads: that step them; ``None`` for one per core
    :param env_kwargs: keyword arguments of the environment
    :param noop_max: at most so many frames pass before the first action
    :param frame_skip: frames for which each action is held; the last two are merged
    :param screen_size: height and width of a frame
    :param n_stack: latest frames that are shown
    :param terminal_on_life_loss: end an episode when a life is lost
    :param clip_reward: reward the sign of the points only
    :param fire_reset: press FIRE after a reset, in games that start so
    :param action_repeat_probability: chance that the last action is repeated instead ("sticky actions"); ``None`` for what the
        id says
    :raises ImportError: if ale-py is not installed
    :raises FileNotFoundError: if ale-py does not have the game
    :raises ValueError: for another task, or arguments that ALE's vector environment does not have
    """

    def __init__(
        self,
        env_id: str,
        n_envs: int,
        seed: int | None = None,
        n_threads: int | None = None,
        env_kwargs: dict[str, Any] | None = None,
        noop_max: int = 30,
        frame_skip: int = 4,
        screen_size: int = 84,
        n_stack: int = 4,
        terminal_on_life_loss: bool = False,
        clip_reward: bool = False,
        fire_reset: bool = False,
        action_repeat_probability: float | None = None,
    ) -> None:
        try:
            from ale_py import ALEInterface, LoggerMode
            from ale_py.vector_env import AtariVectorEnv
        except ImportError as error:
            raise MissingExtraError(f'AtariVecEnv needs ALE: pip install "sb3-distill[atari]" ({error})') from error
        if not is_atari(env_id):
            raise ArgumentError(
                f"{env_id!r} is not an Atari game of ALE, such as 'CentipedeNoFrameskip-v4': leave out `vec_env_cls`"
            )
        registered = gym.spec(registered_name(env_id))
        kwargs = {**registered.kwargs, **(env_kwargs or {})}
        if unknown := set(kwargs) - {*MADE_ANEW, "render_mode"}:
            raise ArgumentError(
                f"ALE's vector environment does not take {', '.join(sorted(unknown))}: leave out `vec_env_cls`"
            )
        for name, number, least in (
            ("n_envs", n_envs, 1), ("noop_max", noop_max, 0), ("frame_skip", frame_skip, 1), ("screen_size", screen_size, 1),
            ("n_stack", n_stack, 1),
        ):  # fmt: skip
            if number < least:  # ALE would wait for ever
                raise ArgumentError(f"`{name}` must be at least {least}, got {number}")
        for name, option in (("frameskip", "frame_skip"), ("obs_type", None)):
            if env_kwargs and name in env_kwargs:
                instead = f"use `vec_env_kwargs` with {option}" if option else "leave out `vec_env_cls`"
                raise ArgumentError(f"AtariVecEnv does not take `{name}` of the environment: {instead}")
        if action_repeat_probability is None:
            action_repeat_probability = float(kwargs.get("repeat_action_probability", 0.25))
        if not 0 <= action_repeat_probability <= 1:
            raise ArgumentError(f"`action_repeat_probability` must be from 0 to 1, got {action_repeat_probability}")
        rom_path(kwargs["game"])
        ALEInterface.setLoggerMode(LoggerMode.Error)
        env = AtariVectorEnv(
            kwargs["game"],
            n_envs,
            num_threads=n_threads or 0,
            autoreset_mode=AutoresetMode.SAME_STEP,
            max_num_frames_per_episode=kwargs.get("max_num_frames_per_episode", 108_000),
            repeat_action_probability=action_repeat_probability,
            full_action_space=kwargs.get("full_action_space", False),
            img_height=screen_size,
            img_width=screen_size,
            grayscale=True,
            maxpool=True,
            stack_num=n_stack,
            frameskip=frame_skip,
            noop_max=noop_max,
            episodic_life=terminal_on_life_loss,
            life_loss_info=False,
            reward_clipping=clip_reward,
            use_fire_reset=fire_reset,
        )
        env.spec = copy.copy(registered)
        env.spec.kwargs = kwargs
        super().__init__(env)
        self.options: dict[str, Any] = dict(
            noop_max=noop_max,
            frame_skip=frame_skip,
            screen_size=screen_size,
            n_stack=n_stack,
            terminal_on_life_loss=terminal_on_life_loss,
            clip_reward=clip_reward,
            fire_reset=fire_reset,
            action_repeat_probability=action_repeat_probability,
        )
        self.seed(seed)

    def step_async(self, actions: np.ndarray[Any, Any]) -> None:
        """
        :raises ValueError: for actions that the game does not have; ALE would wait for ever
        """
        n_actions = int(self.action_space.n)  # type: ignore[attr-defined]
        if np.min(actions) < 0 or np.max(actions) >= n_actions:
            raise ArgumentError(f"the game has actions 0 to {n_actions - 1}, got {np.min(actions)} to {np.max(actions)}")
        super().step_async(actions)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        seeds = super().seed(seed)
        assert seeds[0] is not None
        self._seeds[0] = seeds[0] % (2**31 - self.num_envs)  # ALE's are signed and of 32 bits
        return self._seeds
