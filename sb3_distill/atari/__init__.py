"""Moved to ``sb3_distill.environments.atari``."""

from sb3_distill.environments.atari import *  # noqa: F403
