"""Moved to ``sb3_distill.inner_loop.ridge_head``."""

from sb3_distill.inner_loop.ridge_head import *  # noqa: F403
