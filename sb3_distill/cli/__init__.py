"""The command line."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sb3_distill.cli.printing import kind_of, print_evaluations
    from sb3_distill.cli.program import main

__all__ = [
    "kind_of",
    "main",
    "print_evaluations",
]


def __getattr__(name: str) -> object:  # `python -m sb3_distill.cli` can be interrupted while the rest is imported
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sb3_distill.cli import printing, program

    return getattr(program if name == "main" else printing, name)
