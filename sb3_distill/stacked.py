"""Moved to ``sb3_distill.networks.stacked``."""

from sb3_distill.networks.stacked import *  # noqa: F403
