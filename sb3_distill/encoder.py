"""Moved to ``sb3_distill.networks.encoder``."""

from sb3_distill.networks.encoder import *  # noqa: F403
