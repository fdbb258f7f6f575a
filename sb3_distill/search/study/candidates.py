"""Architectures in an order that all workers know: a list, random draws, or all of a space."""

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sb3_distill.errors import ArgumentError
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.space import REAL, RandomTrial, SearchSpace, Trial
from sb3_distill.typing import Json

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MOST = 50_000
"""Largest number of architectures for brute force."""


class Candidate(NamedTuple):
    """
    An architecture to try, and what Optuna's samplers learn from.

    :param key: key of the architecture
    :param params: values that were drawn, by name
    :param distributions: what each was drawn from
    """

    key: str
    params: Json
    distributions: "Mapping[str, BaseDistribution]"


class Stream:
    """
    Different architectures, drawn when they are needed. All workers of a study have the same ones in the same order.

    :param candidates: candidates, among which some may be equal
    """

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._source = iter(candidates)
        self._drawn: dict[str, Candidate] = {}

    def first(self, is_taken: Callable[[str], bool]) -> Candidate | None:
        """
        :param is_taken: whether an architecture is tried already, by its key
        :return: the first architecture that is not taken; ``None`` if there is none
        """
        for candidate in self._drawn.values():
            if not is_taken(candidate.key):
                return candidate
        n_vain = 0
        while n_vain < 1000 + 100 * len(self._drawn):  # as many as `SearchSpace.draw` tries
            candidate_or_end = next(self._source, None)
            if candidate_or_end is None:
                break
            if candidate_or_end.key in self._drawn:
                n_vain += 1
                continue
            n_vain = 0
            self._drawn[candidate_or_end.key] = candidate_or_end
            if not is_taken(candidate_or_end.key):
                return candidate_or_end
        return None


def listed(architectures: Sequence[PolicyArchitecture]) -> Iterator[Candidate]:
    """
    :param architectures: architectures
    :return: a candidate for each
    """
    return (Candidate(architecture.key, {}, {}) for architecture in architectures)


def at_random(space: SearchSpace, seed: int) -> Iterator[Candidate]:
    """
    :param space: a space
    :param seed: seed of the draw
    :return: candidates without end, in the order of ``SearchSpace.draw``
    """
    trial = RandomTrial(random.Random(seed))
    while True:
        yield _recorded(space, trial)


def all_of(space: SearchSpace, seed: int) -> Iterator[Candidate]:
    """
    :param space: a space of whole numbers and names
    :param seed: seed of the order
    :return: a candidate for every architecture of the space, in random order
    :raises ValueError: for a range of real numbers, or more than ``MOST`` architectures
    """
    if math.isinf(space.n_choices):
        name = next(name for name in REAL if isinstance(getattr(space, name), Mapping))
        raise ArgumentError(
            f"the sampler brute tries every architecture, and `{name}` of this space is a range of real numbers; list its "
            "values, or take another sampler"
        )
    walk = _Walk()
    found = list(itertools.islice((_recorded(space, walk) for _ in walk), MOST + 1))
    if len(found) > MOST:
        raise ArgumentError(
            f"the sampler brute tries every architecture, and this space has more than {MOST:,}; the sampler random never "
            "tries one twice"
        )
    random.Random(seed).shuffle(found)
    return iter(found)


class _Walk:
    """A trial that goes through all values: one set of them in each iteration."""

    def __init__(self) -> None:
        self._digits: list[tuple[int, int]] = []
        self._place = 0

    def __iter__(self) -> Iterator[None]:
        while True:
            self._place = 0
            yield
            while self._digits and self._digits[-1][0] + 1 == self._digits[-1][1]:
                self._digits.pop()
            if not self._digits:
                return
            digit, n = self._digits[-1]
            self._digits[-1] = (digit + 1, n)

    def _digit(self, n: int) -> int:
        if self._place == len(self._digits):
            self._digits.append((0, n))
        self._place += 1
        return self._digits[self._place - 1][0]

    def suggest_categorical(self, name: str, choices: Sequence[bool | int | float | str | None]) -> object:
        return choices[self._digit(len(choices))]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return low + step * self._digit((high - low) // step + 1)

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        raise AssertionError("real numbers were refused")


class _Recorder:
    """A trial that hands on to another one, and keeps what was drawn in Optuna's words."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.params: Json = {}
        self.distributions: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[bool | int | float | str | None]) -> object:
        from optuna.distributions import CategoricalDistribution

        self.distributions[name] = CategoricalDistribution(choices)
        self.params[name] = self.trial.suggest_categorical(name, choices)
        return self.params[name]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        from optuna.distributions import IntDistribution

        self.distributions[name] = IntDistribution(low, high, log=log, step=step)
        self.params[name] = value = self.trial.suggest_int(name, low, high, step=step, log=log)
        return value

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        from optuna.distributions import FloatDistribution

        self.distributions[name] = FloatDistribution(low, high, log=log, step=step)
        self.params[name] = value = self.trial.suggest_float(name, low, high, step=step, log=log)
        return value


def _recorded(space: SearchSpace, trial: Trial) -> Candidate:
    recorder = _Recorder(trial)
    return Candidate(space.suggest(recorder).key, recorder.params, recorder.distributions)
