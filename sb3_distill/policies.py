"""Moved to ``sb3_distill.teaching.resolve_policy``."""

from sb3_distill.teaching.resolve_policy import *  # noqa: F403
