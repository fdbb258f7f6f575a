"""Moved to ``sb3_distill.learners.distribution``."""

from sb3_distill.learners.distribution import *  # noqa: F403
