"""What a search says: architectures that were tried, and what became of each."""

from dataclasses import dataclass

from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.score import Score
from sb3_distill.search.study.book import IMPRESSION, SCORE, Snapshot, architecture_of, reason_of
from sb3_distill.typing import Json

FINISHED, PRUNED, REFUSED = "finished", "pruned", "refused"
"""What became of an architecture: it has a score, was given up after a part of its budget, or does not fit."""


@dataclass(frozen=True)
class Tried:
    """
    An architecture that was tried.

    :param architecture: the architecture
    :param state: ``"finished"``, ``"pruned"`` or ``"refused"``
    :param score: its score; of a pruned one that of a part of the budget; ``None`` for one that was refused
    :param reason: why it was refused
    :param number: number of the trial in the storage
    """

    architecture: PolicyArchitecture
    state: str
    score: Score | None
    reason: str
    number: int

    def to_json(self) -> Json:
        """All fields."""
        return {
            "architecture": self.architecture.to_json(), "state": self.state, "reason": self.reason, "number": self.number,
            "score": None if self.score is None else self.score.to_json(),
        }  # fmt: skip


@dataclass(frozen=True)
class WayResult:
    """
    What one way of judging says.

    :param way: name of the evaluator
    :param tried: architectures that were tried, in the order of their trials
    """

    way: str
    tried: tuple[Tried, ...]

    @property
    def finished(self) -> list[tuple[PolicyArchitecture, Score]]:
        """Architectures that have a score at the whole budget; only these can be ranked."""
        return [(tried.architecture, tried.score) for tried in self.tried if tried.state == FINISHED and tried.score]


def result_of(way: str, snapshot: Snapshot) -> WayResult:
    """
    :param way: name of the evaluator
    :param snapshot: its study
    :return: what was tried
    """
    tried = []
    kinds = ((FINISHED, snapshot.finished, SCORE), (PRUNED, snapshot.pruned, IMPRESSION), (REFUSED, snapshot.refused, None))
    for state, trials, name in kinds:
        for key, trial in trials.items():
            score = None if name is None else Score.from_json(trial.user_attrs[name])
            reason = reason_of(trial) if state == REFUSED else ""
            tried.append(Tried(architecture_of(key), state, score, reason, trial.number))
    return WayResult(way, tuple(sorted(tried, key=lambda one: one.number)))
