"""The ladder of Table 2, and runs that go on."""

from sb3_distill.rollback.checkpoints import Checkpoints, resume
from sb3_distill.rollback.ladder import carry_critic, critic_path, read_results, rollback, score_level

__all__ = [
    "Checkpoints",
    "carry_critic",
    "critic_path",
    "read_results",
    "resume",
    "rollback",
    "score_level",
]
