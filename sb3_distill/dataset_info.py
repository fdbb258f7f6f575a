"""Moved to ``sb3_distill.dataset.info``, ``sb3_distill.dataset.normalization``, ``sb3_distill.networks.policy_kwargs``."""

from sb3_distill.dataset.info import *  # noqa: F403
from sb3_distill.dataset.normalization import *  # noqa: F403
from sb3_distill.networks.policy_kwargs import *  # noqa: F403
