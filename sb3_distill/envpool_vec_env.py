"""Moved to ``sb3_distill.environments.envpool_vec_env``."""

from sb3_distill.environments.envpool_vec_env import *  # noqa: F403
