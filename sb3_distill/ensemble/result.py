"""What an evaluation of ensembles found, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from sb3_distill.dataset.facts import HasFacts, inner_loop_in_words
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.result import Returns
from sb3_distill.generalisation.bootstrap import Estimate, estimate
from sb3_distill.generalisation.metrics import transfer
from sb3_distill.typing import Json

ARBITRARY, ELITE = "arbitrary", "elite"
"""Which members an ensemble has: the first ones of a draw, or the best ones of the selection episodes."""


class Contest(NamedTuple):
    """
    What plays.

    :ivar kind: kind of actions, ``"greedy"`` or ``"sampled"``
    :ivar choice: ``ARBITRARY`` or ``ELITE``
    :ivar rule: a key of ``rules.RULES``
    :ivar size: number of members
    """

    kind: str
    choice: str
    rule: str
    size: int

    def __str__(self) -> str:
        return " ".join([self.kind, self.choice, self.rule, str(self.size)])


@dataclass(frozen=True, repr=False)
class EnsembleEvaluation(HasFacts):
    """
    Returns of members and of ensembles, over several draws of members. The interval of every figure is a hierarchical
    bootstrap: draws with replacement, then episodes (of a draw of members: members) with replacement.

    :param name: name of the dataset
    :param inner_loop: how the members were taught, as ``DatasetInfo.inner_loop`` says it
    :param selection: returns of all members on the selection episodes, for each kind of actions
        ``(n_draws, n_members, n_select)``
    :param best: returns of the member that is best on the selection episodes, on the test episodes, for each kind of actions
        ``(n_draws, n_episodes)``
    :param ensembles: returns of the ensembles on the same test episodes ``(n_draws, n_episodes)``
    :param seed: seed of the first draw
    """

    name: str
    inner_loop: Mapping[str, object]
    selection: Mapping[str, Returns] = field(repr=False)
    best: Mapping[str, Returns] = field(repr=False)
    ensembles: Mapping[Contest, Returns] = field(repr=False)
    seed: int = 0

    @property
    def kinds(self) -> list[str]:
        """Kinds of actions: ``"greedy"``, ``"sampled"``, or both."""
        return list(self.selection)

    @property
    def n_draws(self) -> int:
        """Number of draws of members."""
        return len(next(iter(self.selection.values())))

    def members(self, kind: str) -> Estimate:
        """
        :param kind: kind of actions
        :return: mean return of a member
        """
        return self._mean(self.selection[kind].mean(axis=2))

    def members_std(self, kind: str) -> float:
        """
        :param kind: kind of actions
        :return: standard deviation over members of their mean returns, averaged over draws
        """
        return float(self.selection[kind].mean(axis=2).std(axis=1).mean())

    def best_member(self, kind: str) -> Estimate:
        """
        :param kind: kind of actions
        :return: return on the test episodes of the member that is best on the selection episodes
        """
        return self._mean(self.best[kind])

    def winners_curse(self, kind: str) -> float:
        """
        :param kind: kind of actions
        :return: by how much the selection episodes overstate the member that is best on them
        """
        return float(self.selection[kind].mean(axis=2).max(axis=1).mean() - self.best[kind].mean())

    def mean(self, contest: Contest) -> Estimate:
        """
        :param contest: an ensemble
        :return: its return on the test episodes
        """
        return self._mean(self.ensembles[contest])

    def gain(self, contest: Contest, kind: str | None = None) -> Estimate:
        """
        :param contest: an ensemble
        :param kind: kind of actions of the best member; ``None`` for that of the ensemble
        :return: return of the ensemble minus that of the best member, episode by episode of equal seeds
        """
        return self._mean(self.ensembles[contest] - self.best[kind or contest.kind])

    def summary(self) -> Json:
        """All figures in JSON form."""
        n_draws, n_members, n_select = next(iter(self.selection.values())).shape
        kinds = {
            kind: {
                "members": {**self.members(kind).summary(), "std": self.members_std(kind)},
                "best_member": self.best_member(kind).summary(),
                "winners_curse": self.winners_curse(kind),
            }
            for kind in self.kinds
        }
        ensembles = [
            {
                **contest._asdict(),
                "mean": self.mean(contest).summary(),
                "gain": self.gain(contest).summary(),
                **{f"gain_over_{kind}_best": self.gain(contest, kind).summary() for kind in self.kinds},
            }
            for contest in self.ensembles
        ]
        return {
            "name": self.name,
            "inner_loop": dict(self.inner_loop),
            **kinds,
            "ensembles": ensembles,
            "n_draws": n_draws,
            "n_members": n_members,
            "n_select": n_select,
            "n_episodes": next(iter(self.best.values())).shape[1],
            "seed": self.seed,
        }

    def facts(self) -> dict[str, object]:
        """What is to be known of the evaluation, by name."""
        n_draws, n_members, n_select = next(iter(self.selection.values())).shape
        facts: dict[str, object] = {"set": f"{self.name} ({inner_loop_in_words(dict(self.inner_loop))})"}
        for kind in self.kinds:
            facts[f"a member, {kind}"] = f"{self.members(kind).value:.1f} ± {self.members_std(kind):.1f}"
            facts[f"best member, {kind}"] = in_words(self.best_member(kind))
        largest = max(contest.size for contest in self.ensembles)
        for contest in self.ensembles:
            if contest.size == largest:
                facts[str(contest)] = in_words(self.mean(contest))
        n_episodes = next(iter(self.best.values())).shape[1]
        facts["protocol"] = f"{n_draws} draws of {n_members} members, {n_select} selection and {n_episodes} test episodes"
        return facts

    @classmethod
    def joined(cls, parts: "Sequence[EnsembleEvaluation]") -> "EnsembleEvaluation":
        """
        :param parts: evaluations of one set with the same arguments, but for the seed
        :return: one evaluation with all of their draws
        :raises ValueError: if there is none, or they differ in what was played
        """
        if not parts or any(list(part.ensembles) != list(parts[0].ensembles) for part in parts):
            raise ArgumentError("evaluations are joined that played the same ensembles, one at least")
        first = parts[0]
        return replace(
            first,
            selection={kind: np.concatenate([part.selection[kind] for part in parts]) for kind in first.kinds},
            best={kind: np.concatenate([part.best[kind] for part in parts]) for kind in first.kinds},
            ensembles={key: np.concatenate([part.ensembles[key] for part in parts]) for key in first.ensembles},
        )

    def _mean(self, scores: Returns) -> Estimate:
        """The mean of ``(n_draws, n)``."""
        return estimate(transfer, scores.T, seed=self.seed)[0]


def in_words(figure: Estimate) -> str:
    """A figure with its interval, to a tenth."""
    return f"{figure.value:.1f} [{figure.low:.1f}, {figure.high:.1f}]"
