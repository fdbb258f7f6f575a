"""Moved to ``sb3_distill.networks.stacked_perceptron``."""

from sb3_distill.networks.perceptron_layers import *  # noqa: F403
from sb3_distill.networks.stacked_perceptron import *  # noqa: F403
