"""Moved to ``sb3_distill.learners.component``."""

from sb3_distill.learners.component import *  # noqa: F403
