"""Inner learning, ``Train(lambda, D)`` of the paper: how learners are trained on a dataset."""

from sb3_distill.inner_loop.gradient_steps import GradientSteps, autograd_step
from sb3_distill.inner_loop.loop import INNER_LOOPS, InnerLoop, make_inner_loop, train
from sb3_distill.inner_loop.ridge_head import RidgeHead

__all__ = [
    "INNER_LOOPS",
    "GradientSteps",
    "InnerLoop",
    "RidgeHead",
    "autograd_step",
    "make_inner_loop",
    "train",
]
