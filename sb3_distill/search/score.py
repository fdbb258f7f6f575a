"""What every way of judging an architecture has in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.typing import Json


@dataclass(frozen=True)
class Score:
    """
    What an architecture is worth: more is better. Scores of one evaluator at one budget can be compared.

    :param per_seed: the figure of each seed
    :param seconds: wall time of all seeds
    :param env_steps: environment steps of all seeds; what a dataset or recorded play cost before is not in it
    """

    per_seed: tuple[float, ...]
    seconds: float
    env_steps: int = 0

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(np.mean(self.per_seed))

    def to_json(self) -> Json:
        """All figures."""
        return {"per_seed": list(self.per_seed), "seconds": self.seconds, "env_steps": self.env_steps}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "Score":
        """
        :param data: what ``to_json`` returned
        :return: the score
        """
        return cls(tuple(data["per_seed"]), float(data["seconds"]), int(data["env_steps"]))  # type: ignore[arg-type,call-overload]


class Evaluator(Protocol):
    """
    One way of judging architectures.

    :ivar name: name in tables and files
    :ivar budget: its whole budget: gradient steps of ``distillation`` and ``offline``, environment steps of ``online``
    """

    name: str
    budget: int

    def score(self, architecture: PolicyArchitecture, seeds: Sequence[int], budget: int | None = None) -> Score:
        """
        :param architecture: the architecture
        :param seeds: one network for each
        :param budget: less than the whole, for a first impression; ``None`` for ``budget``
        :return: its score; a network that diverged has minus infinity
        :raises ValueError: if the architecture does not fit the spaces
        """

    def describe(self) -> Json:
        """What tells this evaluator from others, in JSON form: studies of other evaluators have other descriptions."""
