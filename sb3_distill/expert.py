"""Moved to ``sb3_distill.dagger.expert``."""

from sb3_distill.dagger.expert import *  # noqa: F403
