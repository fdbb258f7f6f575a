"""Moved to ``sb3_distill.online.critic``."""

from sb3_distill.online.critic import *  # noqa: F403
