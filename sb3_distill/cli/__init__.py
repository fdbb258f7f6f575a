"""The command line."""

from sb3_distill.cli.program import main, print_evaluations

__all__ = [
    "main",
    "print_evaluations",
]
