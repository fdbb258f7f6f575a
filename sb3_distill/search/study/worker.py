"""What one worker does: choose an architecture, claim it, try it, and tell what came of it."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sb3_distill.errors import ArgumentError
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.score import Evaluator, Score
from sb3_distill.search.space import SearchSpace
from sb3_distill.search.study.book import GO, KEY, WAIT, Book, Overtaken, Snapshot, architecture_of, reason_of, value_of
from sb3_distill.search.study.candidates import Candidate, Stream
from sb3_distill.search.study.claims import Heartbeat
from sb3_distill.search.study.pruner import rungs
from sb3_distill.search.study.sampler import learning_sampler

if TYPE_CHECKING:
    from optuna import Trial

N_REFUSED = 10
"""If so many architectures do not fit before one does, none will."""
N_REPEATS = 10
"""After so many proposals in a row that were tried already, an architecture is drawn at random."""
LONGEST_PAUSE = 1.0
"""Longest time between two looks at the storage, in seconds."""


@dataclass
class StudyWorker:
    """
    Tries architectures until a study has as many as are wanted, beside any number of other workers.

    :param book: the study
    :param evaluator: judges an architecture
    :param seeds: seeds of the networks of each architecture
    :param n_wanted: number of different architectures that shall be finished, by all workers together
    :param space: the space
    :param stream: architectures of a sampler that learns nothing, or random ones for when a sampler only repeats itself
    :param sampler: name of the sampler that learns; ``None`` if all architectures come from ``stream``
    :param seed: seed of that sampler
    :param pruner: name of the pruner
    :param bar: progress bar of tqdm
    """

    book: Book
    evaluator: Evaluator
    seeds: Sequence[int]
    n_wanted: int
    space: SearchSpace | None
    stream: Stream
    sampler: str | None
    seed: int
    pruner: str
    bar: Any
    _n_repeats: int = 0
    _pause: float = 0.02
    _has_sampler: bool = False

    def work(self) -> Snapshot:
        """
        :return: the study, with ``n_wanted`` finished architectures, or fewer if there are no more
        :raises ValueError: if no architecture fits the evaluator
        """
        while True:
            snapshot = self.book.read()
            self.bar.n = min(snapshot.n_finished, self.n_wanted)
            self.bar.refresh()
            _check_that_some_fit(snapshot, N_REFUSED)
            if snapshot.n_finished >= self.n_wanted:
                return snapshot
            if snapshot.n_finished + len(snapshot.running) >= self.n_wanted:
                self._rest()
                continue
            candidate = self._next(snapshot)
            if candidate is None and not self._asks_sampler:
                if not snapshot.running:
                    _check_that_some_fit(snapshot, 1)
                    return snapshot
                self._rest()  # a running trial may be left to others, or refused
                continue
            self._pause = 0.02
            self._try(candidate)

    @property
    def _asks_sampler(self) -> bool:
        return self.sampler is not None and self._n_repeats < N_REPEATS

    def _rest(self) -> None:
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _next(self, snapshot: Snapshot) -> Candidate | None:
        """An architecture that a dead worker has left, or one of the stream; ``None`` for one of the sampler, or no more."""
        for trial in snapshot.lost:
            return Candidate(trial.user_attrs[KEY], trial.params, trial.distributions)
        return None if self._asks_sampler else self.stream.first(snapshot.is_taken)

    def _try(self, candidate: Candidate | None) -> None:
        from optuna.trial import Trial

        book = self.book
        trial_id = book.claim(candidate)
        try:
            with Heartbeat(book.storage, trial_id, book.watch.patience):
                self._set_sampler(trial_id)
                trial = Trial(book.study, trial_id)
                key = self._suggest(trial) if candidate is None else candidate.key
                if self._may_go(trial, key, candidate is None):
                    self._carry_out(trial, architecture_of(key))
        except Overtaken:
            return
        except BaseException:  # an interruption too
            book.abandon(trial_id)
            raise

    def _set_sampler(self, trial_id: int) -> None:
        """The worker that made the first trial of all has the seed of the study, so that a worker alone can be repeated."""
        if self.sampler is not None and not self._has_sampler:
            is_first = self.book.storage.get_trial(trial_id).number == 0
            seed = self.seed if is_first else self.seed + 1 + int(self.book.watch.worker.id, 16)
            assert self.space is not None
            self.book.study.sampler = learning_sampler(self.sampler, self.space, seed)
            self._has_sampler = True

    def _suggest(self, trial: "Trial") -> str:
        assert self.space is not None
        with warnings.catch_warnings():  # networks that diverged have minus infinity, which GP clips
            warnings.filterwarnings("ignore", "Clip non-finite values", UserWarning)
            key = self.space.suggest(trial).key
        self.book.note_key(trial, key)
        return key

    def _may_go(self, trial: "Trial", key: str, is_proposed: bool) -> bool:
        """Wait for this worker's turn; a trial that is not to be carried out is ended."""
        pause = 0.005
        while (verdict := (snapshot := self.book.read()).verdict(trial.number, key, self.n_wanted)) == WAIT:
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        if is_proposed:  # where a sampler repeats itself, other architectures are tried in turn with its proposals
            self._n_repeats = 0 if verdict == GO else self._n_repeats + (verdict >= 0)
        elif verdict == GO:
            self._n_repeats = max(self._n_repeats - 1, 0)
        if verdict == GO:
            return True
        self.book.repeat(trial, verdict, snapshot)
        return False

    def _carry_out(self, trial: "Trial", architecture: PolicyArchitecture) -> None:
        seconds, env_steps = 0.0, 0
        for rung, budget in rungs(self.pruner, self.evaluator.budget):
            try:
                score = self.evaluator.score(architecture, self.seeds, budget)
            except ValueError as error:
                self.book.refuse(trial, str(error))
                return
            seconds, env_steps = seconds + score.seconds, env_steps + score.env_steps
            score = Score(tuple(map(float, score.per_seed)), float(seconds), int(env_steps))
            if budget is None:
                self.book.finish(trial, score)
                return
            trial.report(value_of(score), rung)
            if trial.should_prune():
                self.book.prune(trial, score)
                return


def _check_that_some_fit(snapshot: Snapshot, least: int) -> None:
    if len(snapshot.refused) >= least and not snapshot.finished and not snapshot.pruned:
        trial = min(snapshot.refused.values(), key=lambda one: one.number)
        raise ArgumentError(
            f"none of the first {len(snapshot.refused)} architectures fits: {reason_of(trial)} (the first one was "
            f"{architecture_of(trial.user_attrs[KEY])}); give another space"
        )
