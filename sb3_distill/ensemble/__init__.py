"""Many taught learners, one policy."""

from sb3_distill.ensemble.evaluation import evaluate_ensemble
from sb3_distill.ensemble.policy import DistilledEnsemble
from sb3_distill.ensemble.result import Contest, EnsembleEvaluation

__all__ = ["Contest", "DistilledEnsemble", "EnsembleEvaluation", "evaluate_ensemble"]
