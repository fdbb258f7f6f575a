"""The ladder of Table 2, and runs that go on."""

from sb3_distill.rollback.checkpoints import Checkpoints, learning_seconds, resume
from sb3_distill.rollback.ladder import rollback
from sb3_distill.rollback.level_files import carry_critic, critic_path, read_results
from sb3_distill.rollback.score import score_level

__all__ = [
    "Checkpoints",
    "carry_critic",
    "critic_path",
    "learning_seconds",
    "read_results",
    "resume",
    "rollback",
    "score_level",
]
