"""Moved to ``sb3_distill.learners.initialization``."""

from sb3_distill.learners.initialization import *  # noqa: F403
