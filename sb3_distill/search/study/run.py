"""The search: each way of judging has a study, and all workers on one storage share them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tqdm import tqdm

from sb3_distill.arguments import drawn_seed, not_negative, whole
from sb3_distill.errors import ArgumentError, warn
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.score import Evaluator
from sb3_distill.search.space import SearchSpace
from sb3_distill.search.study.book import Book
from sb3_distill.search.study.candidates import Stream, listed
from sb3_distill.search.study.claims import PATIENCE, Watch, Worker
from sb3_distill.search.study.pruner import NONE, PRUNERS, pruner_of
from sb3_distill.search.study.result import WayResult, result_of
from sb3_distill.search.study.sampler import IN_ORDER, SAMPLERS, TPE, stream_of
from sb3_distill.search.study.storage import Place, import_optuna, open_storage, open_study
from sb3_distill.search.study.worker import StudyWorker
from sb3_distill.typing import Json


def search(
    space: "str | os.PathLike[str] | Mapping[str, object] | SearchSpace | None",
    evaluators: Iterable[Evaluator],
    trials: int | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    storage: Place = None,
    sampler: str = TPE,
    pruner: str = NONE,
    seed: int = 0,
    progress_bar: bool = False,
    architectures: Sequence[PolicyArchitecture | Mapping[str, object]] | None = None,
    task: Mapping[str, object] | None = None,
    patience: float = PATIENCE,
) -> dict[str, WayResult]:
    """
    Judge architectures in one or several ways. A search that was cut off goes on if it is called again with the same storage,
    and any number of processes and machines may call it with one storage at once: no architecture is tried twice, and all
    together finish ``trials`` of them.

    Rankings of several ways can be compared where all ways judge the same architectures. They do so with ``architectures``,
    and with the samplers ``"random"`` and ``"brute"`` without a pruner: the first way draws, and the others get what the
    first one has finished. ``"tpe"`` and ``"gp"`` learn from scores, so that every way looks at architectures of its own.

    :param space: a space, see ``SearchSpace.parse``; not needed with ``architectures``
    :param evaluators: ways of judging, with different names
    :param trials: number of different architectures that each way shall finish; ``None`` for all of ``architectures``
    :param seeds: seeds of the networks of each architecture
    :param storage: path of a journal file, URL of a database, or ``None`` for memory
    :param sampler: one of ``SAMPLERS``. ``"random"`` draws as ``SearchSpace.draw`` does, and ``"brute"`` tries all
    :param pruner: one of ``PRUNERS``: ``"asha"`` and ``"hyperband"`` judge at a ninth and a third of the budget first; seconds
        and environment steps of all parts are added up
    :param seed: seed of the sampler. ``"random"`` and ``"brute"`` have the same architectures with any number of workers;
        ``"tpe"`` and ``"gp"`` can be repeated with one worker that was not cut off
    :param progress_bar: whether a bar shows how many architectures all workers have finished
    :param architectures: judge these instead of drawing
    :param task: what is judged, such as an environment's name and arguments; a storage of another task is refused
    :param patience: seconds without a sign of life after which a worker on another machine counts as dead
    :return: by way, what was tried; fewer than ``trials`` with a warning if there are no more architectures
    :raises ImportError: if Optuna is not installed
    :raises ValueError: for an unknown name, a number that is too small, a storage of another study (with what differs), a
        space that brute force cannot go through, or if no architecture fits
    """
    plan = _Plan.of(space, trials, seeds, sampler, pruner, seed, architectures, patience)
    ways = _by_name(evaluators)
    common: Json = {
        "task": None if task is None else dict(task),
        "space": None if plan.space is None else plan.space.to_json(),
        "seeds": list(plan.seeds),
    }
    results: dict[str, WayResult] = {}
    with open_storage(storage) as opened:
        studies = {
            way: open_study(opened, way, {**common, "evaluator": evaluator.describe()}) for way, evaluator in ways.items()
        }
        for way, evaluator in ways.items():
            studies[way].pruner = pruner_of(pruner)
            keys = None if plan.chosen is None else [architecture.key for architecture in plan.chosen]
            book = Book(studies[way], opened, Watch(Worker.here(), patience), keys)
            with tqdm(total=plan.n_wanted, desc=way, unit="network", disable=not progress_bar) as bar:
                snapshot = plan.worker(book, evaluator, bar).work()
            results[way] = result_of(way, snapshot)
            if plan.chosen is None and snapshot.n_finished < plan.n_wanted:
                warn(
                    f"the search space has no more architectures: {way} has finished {snapshot.n_finished} of the "
                    f"{plan.n_wanted} that were asked for"
                )
            if plan.chosen is None and sampler in IN_ORDER and pruner == NONE:
                plan = replace(plan, chosen=tuple(one for one, _ in results[way].finished[: plan.n_wanted]))
    return results


@dataclass(frozen=True)
class _Plan:
    """Arguments of ``search``, checked."""

    space: SearchSpace | None
    chosen: tuple[PolicyArchitecture, ...] | None
    n_wanted: int
    seeds: tuple[int, ...]
    sampler: str
    pruner: str
    seed: int
    drawn: Stream

    @classmethod
    def of(
        cls, space: object, trials: object, seeds: Sequence[int], sampler: str, pruner: str, seed: int,
        architectures: Sequence[PolicyArchitecture | Mapping[str, object]] | None, patience: float,
    ) -> "_Plan":  # fmt: skip
        for label, name, names in (("sampler", sampler, SAMPLERS), ("pruner", pruner, PRUNERS)):
            if name not in names:
                raise ArgumentError(f"unknown {label} {name!r}; known are {', '.join(names)}")
        if not_negative("patience", patience) == 0:
            raise ArgumentError(f"`patience` must be more than 0 seconds, got {patience!r}")
        seeds = tuple(whole("seeds", value, 0) for value in seeds)
        if not seeds or len(set(seeds)) < len(seeds):
            raise ArgumentError(f"`seeds` must be different numbers, at least one, got {list(seeds)}")
        seed = drawn_seed(seed)
        parsed = None if space is None else SearchSpace.parse(space)  # type: ignore[arg-type]
        if architectures is not None:
            different = {a.key: a for a in map(PolicyArchitecture.of, architectures)}
            n = len(different) if trials is None else min(len(different), whole("trials", trials))
            chosen = tuple(different.values())[:n]
            if chosen:
                return cls(parsed, chosen, n, seeds, sampler, pruner, seed, Stream(()))
        elif parsed is not None and trials is not None:
            import_optuna()
            drawn = stream_of(sampler, parsed, seed)
            return cls(parsed, None, whole("trials", trials), seeds, sampler, pruner, seed, drawn)
        raise ArgumentError("a search needs a `space` and `trials`, or `architectures`, which must not be empty")

    def worker(self, book: Book, evaluator: Evaluator, bar: Any) -> StudyWorker:
        """A worker of this process; without a sampler that learns, all architectures come from a stream."""
        if self.chosen is not None:
            sampler, stream, n_wanted = None, Stream(listed(self.chosen)), len(self.chosen)
        else:
            sampler = None if self.sampler in IN_ORDER else self.sampler
            stream, n_wanted = self.drawn, self.n_wanted
        return StudyWorker(book, evaluator, self.seeds, n_wanted, self.space, stream, sampler, self.seed, self.pruner, bar)


def _by_name(evaluators: Iterable[Evaluator]) -> dict[str, Evaluator]:
    evaluators = list(evaluators)
    ways = {evaluator.name: evaluator for evaluator in evaluators}
    if not ways or len(ways) < len(evaluators):
        names = ", ".join(evaluator.name for evaluator in evaluators)
        raise ArgumentError(f"a search needs ways of judging, each with a name of its own, got {names or 'none'}")
    return ways
