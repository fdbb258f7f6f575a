"""Moved to ``sb3_distill.evaluation.grids``."""

from sb3_distill.evaluation.grids import *  # noqa: F403
