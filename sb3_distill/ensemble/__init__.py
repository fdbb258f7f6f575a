"""Many taught learners, one policy."""

from sb3_distill.ensemble.evaluation import evaluate_ensemble
from sb3_distill.ensemble.policy import DistilledEnsemble
from sb3_distill.ensemble.predicting import SupervisedEnsemble
from sb3_distill.ensemble.result import Contest, EnsembleEvaluation

__all__ = ["Contest", "DistilledEnsemble", "EnsembleEvaluation", "SupervisedEnsemble", "evaluate_ensemble"]
