"""Moved to ``sb3_distill.networks.action_distribution``."""

from sb3_distill.networks.action_distribution import *  # noqa: F403
