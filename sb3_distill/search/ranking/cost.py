"""What a way of scoring costs, and from how many candidates on its fixed cost pays."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sb3_distill.arguments import not_negative
from sb3_distill.errors import ArgumentError
from sb3_distill.typing import Json


@dataclass(frozen=True)
class Cost:
    """
    Cost of a way of scoring, in seconds of wall time.

    :param seconds: seconds of each architecture, with all of its seeds
    :param fixed: seconds that are spent once, whatever the number of candidates, by what they are for: distilling the set,
        recording the data
    :raises ValueError: for a number that is NaN or below 0, or no architecture
    """

    seconds: Sequence[float]
    fixed: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", [not_negative("seconds", one) for one in self.seconds])
        object.__setattr__(self, "fixed", {name: not_negative(f"fixed[{name!r}]", one) for name, one in self.fixed.items()})
        if not self.seconds:
            raise ArgumentError("`seconds` is empty: a cost needs the seconds of one architecture at least")

    @property
    def per_candidate(self) -> float:
        """Median seconds of an architecture: one that a busy machine delayed does not count more than another."""
        return float(np.median(self.seconds))

    @property
    def once(self) -> float:
        """Sum of the fixed seconds."""
        return sum(self.fixed.values())

    def of(self, n_candidates: int) -> float:
        """
        :param n_candidates: number of candidates
        :return: seconds of the whole search, ``once + n per_candidate``
        """
        return self.once + n_candidates * self.per_candidate

    def to_json(self) -> Json:
        """In JSON form."""
        return {"seconds": list(self.seconds), "fixed": dict(self.fixed)}


def break_even(cost: Cost, other: Cost) -> float:
    """
    Number of candidates from which a way is no dearer than another: ``ceil((F - F') / (c' - c))``, with the fixed costs ``F``,
    ``F'`` and those of a candidate ``c``, ``c'``.

    :param cost: cost of the way
    :param other: cost of the other way
    :return: a whole number; 0 if the way is cheaper from the start, infinity if a large search is not cheaper by it
    """
    saved, ahead = other.per_candidate - cost.per_candidate, cost.once - other.once
    if saved < 0 or (saved == 0 and ahead >= 0):
        return math.inf
    return 0.0 if ahead <= 0 else float(math.ceil(ahead / saved))
