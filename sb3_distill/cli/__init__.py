"""The command line."""

from sb3_distill.cli.printing import kind_of, print_evaluations
from sb3_distill.cli.program import main

__all__ = [
    "kind_of",
    "main",
    "print_evaluations",
]
