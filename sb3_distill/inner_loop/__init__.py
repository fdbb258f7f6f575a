"""
Inner learning, ``Train(lambda, D)`` of the paper: how learners are trained on a dataset.

A new kind is one class and one entry:

1. A class in a module of this room, with the members of ``InnerLoop``. ``train`` may change any parameters of the learners;
   it wraps them by ``nothing_discarded`` unless its backward pass leaves gradients out. Weights that change by few numbers
   may tell their factors (``Trained.low_rank``), to which outer gradients then go directly. ``initial_parameters`` names the
   numbers that are learned with the dataset, which keeps them within ``bounds`` and stores them in its file. ``settings``
   returns the other arguments of the class.
2. The class in the tuple of ``INNER_LOOPS`` in ``loop.py``.

The argument ``inner_loop`` of ``PPMO`` and ``DAgger``, files of datasets and the log read that table.
``sb3_distill.typing.InnerLoopName`` lists the names for type checkers.
"""

from sb3_distill.inner_loop.gradient_steps import GradientSteps, autograd_step
from sb3_distill.inner_loop.loop import INNER_LOOPS, InnerLoop, make_inner_loop, train
from sb3_distill.inner_loop.ridge_head import RidgeHead
from sb3_distill.inner_loop.trained import Trained, nothing_discarded

__all__ = [
    "INNER_LOOPS",
    "GradientSteps",
    "InnerLoop",
    "RidgeHead",
    "Trained",
    "autograd_step",
    "make_inner_loop",
    "nothing_discarded",
    "train",
]
