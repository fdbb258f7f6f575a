"""Moved to ``sb3_distill.learners.named``."""

from sb3_distill.learners.named import *  # noqa: F403
