"""Moved to ``sb3_distill.networks.stacked_perceptron``."""

from sb3_distill.networks.stacked_perceptron import *  # noqa: F403
