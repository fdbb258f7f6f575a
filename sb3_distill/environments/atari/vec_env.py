"""ALE's vector environment behind SB3's interface: emulator, preprocessing and frame stack outside of Python."""

import copy
from collections.abc import Sequence

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from sb3_distill.environments.atari.games import rom_path, silence_ale
from sb3_distill.environments.gymnasium_vec_env import GymnasiumVecEnv
from sb3_distill.environments.plugins import is_atari, registered_name
from sb3_distill.errors import ArgumentError, MissingExtraError
from sb3_distill.spaces.values import plain
from sb3_distill.typing import Array, Json, Kwargs, VectorEnv

TAKEN_OVER = ("game", "repeat_action_probability", "full_action_space", "max_num_frames_per_episode", "render_mode")
"""Keyword arguments of ALE's single environments that an ``AtariVecEnv`` obeys, or ignores without harm."""
REPLACED = {"frameskip": "use `vec_env_kwargs` with frame_skip", "obs_type": "leave out `vec_env_cls`"}
"""Keyword arguments that an ``AtariVecEnv`` replaces by its own, and what to do instead of passing them."""
LEAST = {"n_envs": 1, "noop_max": 0, "frame_skip": 1, "screen_size": 1, "n_stack": 1}
"""Smallest values; below them, ALE would wait for ever."""


def is_atari_vector(env: VectorEnv) -> bool:
    """Whether that is ALE's own vector environment."""
    return type(env.unwrapped).__module__ == "ale_py.vector_env"


class AtariVecEnv(GymnasiumVecEnv):
    """
    Atari games as pictures, preprocessed as by SB3's ``AtariWrapper`` and stacked as by ``VecFrameStack``, with arguments of
    the same names. The defaults are the paper's choice and differ from SB3's: points are not clipped, a lost life does not
    end an episode, and FIRE is not pressed.

    :param env_id: id of a game, e.g. ``"CentipedeNoFrameskip-v4"`` or ``"ALE/Pong-v5"``
    :param n_envs: number of environments
    :param seed: seed of the environments
    :param n_threads: number of threads that step the environments; ``None`` for one per core
    :param env_kwargs: keyword arguments of the environment
    :param noop_max: largest number of frames before the first action
    :param frame_skip: frames for which each action is held; the last two are merged
    :param screen_size: height and width of a frame
    :param n_stack: number of latest frames in an observation
    :param terminal_on_life_loss: whether a lost life ends an episode
    :param clip_reward: whether rewards are the signs of the points
    :param fire_reset: whether FIRE is pressed after a reset, in games that start so
    :param action_repeat_probability: chance that the last action is repeated instead ("sticky actions"); ``None`` for that of
        the id
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
        env_kwargs: Kwargs | None = None,
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
            from ale_py.vector_env import AtariVectorEnv
        except ImportError as error:
            raise MissingExtraError(f'AtariVecEnv needs ALE: pip install "sb3-distill[atari]" ({error})') from error
        kwargs = _game_arguments(env_id, env_kwargs or {})
        if action_repeat_probability is None:
            action_repeat_probability = float(kwargs.get("repeat_action_probability", 0.25))
        self.options: Json = dict(
            noop_max=noop_max,
            frame_skip=frame_skip,
            screen_size=screen_size,
            n_stack=n_stack,
            terminal_on_life_loss=terminal_on_life_loss,
            clip_reward=clip_reward,
            fire_reset=fire_reset,
            action_repeat_probability=action_repeat_probability,
        )
        self.options = {name: plain(value) for name, value in self.options.items()}
        _check_ranges({"n_envs": n_envs, **self.options})
        rom_path(kwargs["game"])
        silence_ale()
        env = AtariVectorEnv(
            kwargs["game"],
            n_envs,
            num_threads=n_threads or 0,
            autoreset_mode=AutoresetMode.SAME_STEP,
            max_num_frames_per_episode=kwargs.get("max_num_frames_per_episode", 108_000),
            full_action_space=kwargs.get("full_action_space", False),
            **_native_arguments(self.options),
        )
        env.spec = copy.copy(gym.spec(registered_name(env_id)))
        env.spec.kwargs = kwargs
        super().__init__(env, copies=False)  # each step of ALE brings arrays of its own
        assert isinstance(self.action_space, gym.spaces.Discrete)
        self._n_actions = int(self.action_space.n)
        self.seed(seed)

    def step_async(self, actions: Array) -> None:
        """
        :raises ValueError: for actions that the game does not have; ALE would wait for ever
        """
        if np.min(actions) < 0 or np.max(actions) >= self._n_actions:
            raise ArgumentError(f"the game has actions 0 to {self._n_actions - 1}, got {np.min(actions)} to {np.max(actions)}")
        super().step_async(actions)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        seeds = super().seed(seed)
        assert seeds[0] is not None
        self._seeds[0] = seeds[0] % (2**31 - self.num_envs)  # ALE's are signed and of 32 bits
        return self._seeds


def _game_arguments(env_id: str, env_kwargs: Kwargs) -> Kwargs:
    """
    :param env_id: id of a game
    :param env_kwargs: the user's arguments for it
    :return: all keyword arguments of the single environment, the registered ones included
    :raises ValueError: for another task, or an argument that ALE's vector environment does not take
    """
    if not is_atari(env_id):
        raise ArgumentError(
            f"{env_id!r} is not an Atari game of ALE, such as 'CentipedeNoFrameskip-v4': leave out `vec_env_cls`"
        )
    kwargs = {**gym.spec(registered_name(env_id)).kwargs, **env_kwargs}
    if unknown := set(kwargs).difference(TAKEN_OVER, REPLACED):
        raise ArgumentError(f"ALE's vector environment does not take {', '.join(sorted(unknown))}: leave out `vec_env_cls`")
    for name, advice in REPLACED.items():
        if name in env_kwargs:
            raise ArgumentError(f"AtariVecEnv does not take `{name}` of the environment: {advice}")
    return kwargs


def _native_arguments(options: Json) -> Kwargs:
    """Options of an ``AtariVecEnv`` by the names that ALE's vector environment has for them."""
    return dict(
        img_height=options["screen_size"],
        img_width=options["screen_size"],
        grayscale=True,
        maxpool=True,
        stack_num=options["n_stack"],
        frameskip=options["frame_skip"],
        noop_max=options["noop_max"],
        episodic_life=options["terminal_on_life_loss"],
        life_loss_info=False,
        reward_clipping=options["clip_reward"],
        use_fire_reset=options["fire_reset"],
        repeat_action_probability=options["action_repeat_probability"],
    )


def _check_ranges(options: Json) -> None:
    """
    :param options: arguments of an ``AtariVecEnv`` by name
    :raises ValueError: for a number out of its range
    """
    for name, least in LEAST.items():
        if options[name] < least:
            raise ArgumentError(f"`{name}` must be at least {least}, got {options[name]}")
    probability = options["action_repeat_probability"]
    if not 0 <= probability <= 1:
        raise ArgumentError(f"`action_repeat_probability` must be from 0 to 1, got {probability}")
