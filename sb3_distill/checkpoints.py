"""Moved to ``sb3_distill.rollback.checkpoints``."""

from sb3_distill.rollback.checkpoints import *  # noqa: F403
