"""The learner distribution: which networks, with which initial parameters, a dataset teaches."""

from sb3_distill.learners.component import LearnerComponent
from sb3_distill.learners.distribution import LearnerDistribution, LearnerDistributionLike
from sb3_distill.learners.factory import NetworkFactory
from sb3_distill.learners.policy_factory import PolicyFactory
from sb3_distill.learners.population import Group, Learners
from sb3_distill.learners.sampler import LearnerSampler

__all__ = [
    "Group",
    "LearnerComponent",
    "LearnerDistribution",
    "LearnerDistributionLike",
    "LearnerSampler",
    "Learners",
    "NetworkFactory",
    "PolicyFactory",
]
