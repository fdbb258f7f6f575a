"""Moved to ``sb3_distill.environments.wrappers``."""

from sb3_distill.environments.wrappers import *  # noqa: F403
