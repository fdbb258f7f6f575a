"""Moved to ``sb3_distill.online.buffers``."""

from sb3_distill.online.buffers import *  # noqa: F403
