"""Moved to ``sb3_distill.cli.zoo``."""

from sb3_distill.cli.zoo import *  # noqa: F403
