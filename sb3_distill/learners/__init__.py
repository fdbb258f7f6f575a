"""The learner distribution: which networks, with which initial parameters, a dataset teaches."""

from sb3_distill.learners.population import Group, Learners

__all__ = [
    "Group",
    "Learners",
]
