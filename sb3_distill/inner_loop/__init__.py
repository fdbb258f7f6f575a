"""
Inner learning, ``Train(lambda, D)`` of the paper: how learners are trained on a dataset.

A new kind is one class and one entry:

1. A class in a module of this room, with the members of ``InnerLoop``. Its ``train`` returns ``Trained``, through
   ``nothing_discarded`` unless hooks of its own leave gradients out, and may change any parameters of the learners.
   ``initial_parameters`` names the numbers that are learned with the dataset (at least one tensor); datasets keep them in
   ``bounds``, store them and read them back. ``settings`` returns what the class needs besides them to be made again.
2. An entry in ``INNER_LOOPS`` of ``loop.py``: the class in the tuple there.

The argument ``inner_loop`` of ``PPMO`` and ``DAgger``, the files of datasets and the log take the kind from that table. For
type checkers ``InnerLoopName`` in ``sb3_distill.typing`` lists the names too.
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
