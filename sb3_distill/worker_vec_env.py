"""Moved to ``sb3_distill.environments.worker_vec_env``."""

from sb3_distill.environments.worker_vec_env import *  # noqa: F403
