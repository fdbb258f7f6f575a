"""Moved to ``sb3_distill.report.video``."""

from sb3_distill.report.video import *  # noqa: F403
