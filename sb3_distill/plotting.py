"""Moved to ``sb3_distill.report.pictures``."""

from sb3_distill.report.pictures import *  # noqa: F403
