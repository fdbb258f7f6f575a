"""Moved to several modules of ``sb3_distill.environments``."""

from sb3_distill.environments.gymnasium_vec_env import *  # noqa: F403
from sb3_distill.environments.make import *  # noqa: F403
from sb3_distill.environments.origin import *  # noqa: F403
from sb3_distill.environments.plugins import *  # noqa: F403
from sb3_distill.environments.vec_normalize import *  # noqa: F403
from sb3_distill.environments.worker_vec_env import *  # noqa: F403
