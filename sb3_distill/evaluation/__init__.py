"""How well fresh learners do."""

from sb3_distill.evaluation.choose import choose_carry_strength
from sb3_distill.evaluation.play import ActingLearners, play_episodes
from sb3_distill.evaluation.protocol import evaluate_grid, evaluate_learners
from sb3_distill.evaluation.result import Evaluation

__all__ = [
    "ActingLearners",
    "Evaluation",
    "choose_carry_strength",
    "evaluate_grid",
    "evaluate_learners",
    "play_episodes",
]
