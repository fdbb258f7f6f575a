"""Atari games seen through the console's memory."""

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.utils import EzPickle

from sb3_distill.environments.atari.games import rom_path, silence_ale
from sb3_distill.errors import ArgumentError, MissingExtraError
from sb3_distill.typing import Array, Kwargs

try:
    from ale_py.env import AtariEnv, AtariEnvStepMetadata
except ImportError as error:
    raise MissingExtraError(f'Atari games need ale-py: pip install "sb3-distill[atari]" ({error})') from error

silence_ale()


class AtariRAMEnv(AtariEnv):
    """
    An Atari game whose observation is the 128 bytes of the console's memory.

    ## Action Space
    ``Discrete``: the buttons that the game uses.

    ## Observation Space
    ``Box(0, 255, (128,), float32)``: the memory after the last frame. Bytes mean different things; normalise them
    (``VecNormalize``). The space is one of floats since the buffers of SB3's own algorithms keep observations in its type,
    and would cut normalised bytes to whole numbers from 0 to 255.

    ## Rewards
    The points of the game, not clipped.

    ## Starting State
    The game's, after up to ``noop_max`` frames without a button.

    ## Episode End
    The game ends (all lives); after 108,000 frames it is truncated.

    ## Arguments
    :param game: name of the ROM, e.g. ``"ms_pacman"``
    :param frameskip: frames for which each action is held
    :param noop_max: largest number of frames before the first action
    :param repeat_action_probability: chance that the last action is repeated instead ("sticky actions")
    :param max_num_frames_per_episode: number of frames after which an episode is truncated
    :param kwargs: further arguments of ``ale_py.env.AtariEnv``
    :raises FileNotFoundError: if ale-py does not have the game
    """

    def __init__(
        self,
        game: str,
        frameskip: int = 4,
        noop_max: int = 30,
        repeat_action_probability: float = 0.0,
        max_num_frames_per_episode: int = 108_000,
        **kwargs: Any,
    ) -> None:
        if noop_max < 0:
            raise ArgumentError(f"`noop_max` must not be negative, got {noop_max}")
        rom_path(game)
        self.noop_max = noop_max
        super().__init__(
            game,
            obs_type="ram",
            frameskip=frameskip,
            repeat_action_probability=repeat_action_probability,
            max_num_frames_per_episode=max_num_frames_per_episode,
            **kwargs,
        )
        self.observation_space = spaces.Box(0, 255, (128,), np.float32)
        self.metadata = {**self.metadata, "render_fps": 60 / frameskip}
        # Copies are made by this constructor, not by that of the base class.
        EzPickle.__init__(self, game, frameskip, noop_max, repeat_action_probability, max_num_frames_per_episode, **kwargs)

    def reset(  # type: ignore[override]
        self, *, seed: int | None = None, options: Kwargs | None = None
    ) -> tuple[Array, AtariEnvStepMetadata]:
        """Start the game, and let some frames pass so that games differ."""
        _, info = super().reset(seed=seed, options=options)
        for _ in range(int(self.np_random.integers(0, self.noop_max + 1))):
            self.ale.act(0)
        if self.ale.game_over():
            _, info = super().reset(options=options)
        return self._get_obs(), info

    def _get_obs(self) -> Array:
        return self.ale.getRAM().astype(np.float32)
