"""
How a dataset serves learners that it was not made for.

``metrics`` and ``factors`` are pure functions of a matrix of scores, ``bootstrap`` gives them intervals, ``scores`` and
``recipes`` measure, ``report`` holds what was measured, ``comparison``, ``pictures`` and ``page`` show it.
"""

from sb3_distill.generalisation.comparison import Comparison, compare
from sb3_distill.generalisation.page import write_page
from sb3_distill.generalisation.recipes import Recipe, recipe_robust_score
from sb3_distill.generalisation.report import GeneralisationReport, generalisation_report

__all__ = [
    "Comparison",
    "GeneralisationReport",
    "Recipe",
    "compare",
    "generalisation_report",
    "recipe_robust_score",
    "write_page",
]
