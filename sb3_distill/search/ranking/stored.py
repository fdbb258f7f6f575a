"""The numbers of a search, and their JSON form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from sb3_distill.dataset.facts import HasFacts
from sb3_distill.errors import ArgumentError, NotFiniteError
from sb3_distill.search.ranking.cost import Cost
from sb3_distill.typing import Array, Json

FORMAT = 1
"""Version of the JSON form."""
TRUTH = "truth"
"""Name of the truth among scores and costs."""


@dataclass(frozen=True, repr=False, eq=False)
class StoredResult(HasFacts):
    """
    :param keys: canonical key of each architecture, all different
    :param architectures: each of them in JSON form
    :param scores: by the name of the way that scored, ``(n,)`` or ``(n, n_seeds)``, more is better; NaN where the way did not
        score an architecture or did not finish it, which then enters no figure of this way
    :param truth: returns of full training ``(n, n_seeds)``; ``None`` if there are none
    :param costs: cost of each way, by the names of ``scores``; that of the truth as ``"truth"``
    :param picks: by way, the key of the architecture that it picked
    :param confirmations: by name, final mean return of each new seed ``(n_seeds,)``: of picks, by the names of ``picks``, and
        of baselines
    :param baselines: names of the confirmations that are baselines
    :param info: what else belongs to the result: task, budgets, versions
    :param seed: seed of every bootstrap
    :raises ValueError: if the parts do not fit each other
    :raises FloatingPointError: if a return is NaN, or anything infinite
    """

    keys: Sequence[str]
    architectures: Sequence[Json] = field(repr=False)
    scores: Mapping[str, Array]
    truth: Array | None = None
    costs: Mapping[str, Cost] = field(default_factory=dict)
    picks: Mapping[str, str] = field(default_factory=dict)
    confirmations: Mapping[str, Array] = field(default_factory=dict)
    baselines: Sequence[str] = ()
    info: Json = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("scores", "confirmations"):
            arrays = {key: np.asarray(values, dtype=np.float64) for key, values in getattr(self, name).items()}
            object.__setattr__(self, name, arrays)
        if self.truth is not None:
            object.__setattr__(self, "truth", np.asarray(self.truth, dtype=np.float64))
        self._check()

    def _check(self) -> None:
        n = len(self.keys)
        if not n:
            raise ArgumentError("`keys` is empty: a result needs one architecture at least")
        if len(set(self.keys)) < n or len(self.architectures) != n:
            raise ArgumentError(
                f"each architecture needs a key of its own, got {len(set(self.keys))} different keys for "
                f"{len(self.architectures)} architectures"
            )
        for name, values in {**self.scores, **self.true_returns}.items():
            if values.ndim not in (1, 2) or len(values) != n:
                raise ArgumentError(f"{name} must be ({n},) or ({n}, n_seeds), a row for each key, got shape {values.shape}")
            if np.isinf(values).any() or (name == TRUTH and np.isnan(values).any()):
                raise NotFiniteError(
                    f"{name} has numbers that are infinite, or NaN in the truth: leave these architectures out"
                )
        if TRUTH in self.scores:
            raise ArgumentError(f"no score may be called {TRUTH!r}: hand the returns over as `truth`")
        for what, found, allowed in (
            ("costs", self.costs, (*self.scores, TRUTH)),
            ("picks", self.picks.values(), self.keys),
            ("baselines", self.baselines, self.confirmations),
        ):
            if unknown := [name for name in found if name not in allowed]:
                raise ArgumentError(f"`{what}` names {unknown[0]!r}, which is none of {', '.join(map(repr, allowed))}")

    @property
    def true_returns(self) -> dict[str, Array]:
        """The truth by its name; empty without one."""
        return {} if self.truth is None else {TRUTH: self.truth}

    def scored(self, name: str) -> Array:
        """
        :param name: name of a score
        :return: which architectures have it with all of its seeds ``(n,)``
        """
        values = self.scores[name]
        return np.asarray(np.isfinite(values.reshape(len(values), -1)).all(axis=1))

    def to_json(self) -> Json:
        """In JSON form; a number that is not there is ``None``."""
        return {
            "format": FORMAT,
            "keys": list(self.keys),
            "architectures": list(self.architectures),
            "truth": None if self.truth is None else self.truth.tolist(),
            "scores": {name: _listed(values) for name, values in self.scores.items()},
            "costs": {name: cost.to_json() for name, cost in self.costs.items()},
            "picks": dict(self.picks),
            "confirmations": {name: values.tolist() for name, values in self.confirmations.items()},
            "baselines": list(self.baselines),
            "info": self.info,
            "seed": self.seed,
        }

    @classmethod
    def from_json(cls, content: Json) -> Self:
        """
        :param content: what ``to_json`` returned, other keys beside it
        :return: an equal result
        :raises ValueError: for anything else
        """
        names = ("keys", "architectures", "scores", "truth", "picks", "confirmations", "baselines", "info", "seed")
        missing = [name for name in ("format", "costs", *names) if name not in content]
        if missing or content["format"] != FORMAT:
            what = f"it has no {missing[0]!r}" if missing else f"its format is {content['format']!r}, and {FORMAT} can be read"
            raise ArgumentError(f"this is no ranking of architectures: {what}; `SearchResult.save` writes one")
        parts = {name: content[name] for name in names}
        parts["scores"] = {name: np.array(values, dtype=np.float64) for name, values in content["scores"].items()}
        return cls(**parts, costs={name: Cost(**cost) for name, cost in content["costs"].items()})


def _listed(values: Array) -> object:
    """Lists in which NaN is ``None``."""
    objects = values.astype(object)
    objects[np.isnan(values)] = None
    return objects.tolist()
