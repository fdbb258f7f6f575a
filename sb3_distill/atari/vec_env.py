"""Moved to ``sb3_distill.environments.atari.vec_env``."""

from sb3_distill.environments.atari.vec_env import *  # noqa: F403
