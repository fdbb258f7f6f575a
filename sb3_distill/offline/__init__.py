"""A task: recorded play."""

from sb3_distill.offline.recorder import record
from sb3_distill.offline.recording import Recording

__all__ = [
    "Recording",
    "record",
]
