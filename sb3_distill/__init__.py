"""Distil reinforcement-learning environments into one small batch that teaches any Stable-Baselines3 policy in one step."""

import nd_cartpole  # noqa: F401  (registers the environments)
import sb3_distill.atari  # noqa: F401  (likewise)
from sb3_distill.dagger import DAgger, clone
from sb3_distill.dataset import SyntheticDataset
from sb3_distill.dataset_file import DatasetError, shipped_sets
from sb3_distill.distilled_policy import DistilledPolicy
from sb3_distill.evaluation import Evaluation, evaluate_learners
from sb3_distill.expert import Expert
from sb3_distill.learner_component import LearnerComponent
from sb3_distill.learner_distribution import LearnerDistribution
from sb3_distill.ppmo import PPMO
from sb3_distill.spaces import min_instances
from sb3_distill.vec_env import make_vec_env

__all__ = [
    "PPMO",
    "DAgger",
    "DatasetError",
    "DistilledPolicy",
    "Evaluation",
    "Expert",
    "LearnerComponent",
    "LearnerDistribution",
    "SyntheticDataset",
    "clone",
    "evaluate_learners",
    "make_vec_env",
    "min_instances",
    "shipped_sets",
]
