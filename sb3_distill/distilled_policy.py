"""Moved to ``sb3_distill.teaching.distilled_policy``, ``sb3_distill.teaching.teach``."""

from sb3_distill.teaching.distilled_policy import *  # noqa: F403
from sb3_distill.teaching.teach import *  # noqa: F403
