"""How well fresh learners do."""

from sb3_distill.evaluation.protocol import evaluate_learners
from sb3_distill.evaluation.result import Evaluation

__all__ = [
    "Evaluation",
    "evaluate_learners",
]
