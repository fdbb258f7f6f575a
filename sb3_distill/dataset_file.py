"""Moved to ``sb3_distill.dataset.file``."""

from sb3_distill.dataset.file import *  # noqa: F403
