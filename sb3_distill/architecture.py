"""Moved to ``sb3_distill.learners.architecture``."""

from sb3_distill.learners.architecture import *  # noqa: F403
