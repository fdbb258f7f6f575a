"""Distilling an agent that exists, by imitation."""

from sb3_distill.dagger.algorithm import DAgger
from sb3_distill.dagger.cloning import clone
from sb3_distill.dagger.expert import Expert

__all__ = [
    "DAgger",
    "Expert",
    "clone",
]
