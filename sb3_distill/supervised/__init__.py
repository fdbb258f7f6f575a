"""A task: labelled examples."""

from sb3_distill.supervised.distillation import SupervisedDistillation
from sb3_distill.supervised.evaluation import DataEvaluation, evaluate_supervised
from sb3_distill.supervised.examples import Examples
from sb3_distill.supervised.teaching import teach_module

__all__ = ["DataEvaluation", "Examples", "SupervisedDistillation", "evaluate_supervised", "teach_module"]
