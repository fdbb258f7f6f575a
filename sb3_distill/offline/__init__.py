"""A task: recorded play."""

from sb3_distill.offline.distillation import OfflineDistillation
from sb3_distill.offline.recorder import record
from sb3_distill.offline.recording import Recording

__all__ = [
    "OfflineDistillation",
    "Recording",
    "record",
]
