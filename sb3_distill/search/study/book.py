"""
What a storage knows of a study, and the order in which workers may try architectures.

Every worker first makes a trial in the state RUNNING, and the storage gives the trial a number. Then the worker writes the key
of its architecture there. A worker goes on when all running trials of smaller numbers have a key, none of them has the same
one, and the places that they and the finished ones leave suffice. So two workers never try one architecture, and all together
finish as many as were asked for: of two trials, the one of the larger number was made when the other was there to be seen.
"""

import json
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING

from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.score import Score
from sb3_distill.search.study.candidates import Candidate
from sb3_distill.search.study.claims import WORKER, Watch

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

KEY = "architecture"
"""Attribute of a trial: key of its architecture."""
SCORE = "score"
"""Attribute of a trial: the whole score."""
IMPRESSION = "impression"
"""Attribute of a trial that was pruned: its score at less than the whole budget."""
REASON = "reason"
"""Attribute of a trial: why its architecture does not fit."""
REPEATS = "repeats"
"""Attribute of a trial that was not carried out: the number of the one that has the same architecture, or
``NO_PLACE``."""
ABANDONED = "abandoned"
"""Attribute of a trial whose worker was interrupted or died: ``INTERRUPTED`` or ``DIED``."""
INTERRUPTED, DIED = "interrupted", "died"
MOST_DEATHS = 5
"""An architecture of which so many workers have died is refused: it may need more memory than there is."""
NO_PLACE, WAIT, GO = -1, -2, -3
"""Verdicts that are no numbers of trials."""


class Overtaken(Exception):
    """Somebody has taken this worker for dead, and ended its trial."""


class Snapshot:
    """
    The trials of a study at one moment.

    :param trials: all trials
    :param keys: keys that count; ``None`` for all
    """

    def __init__(self, trials: "list[FrozenTrial]", keys: Collection[str] | None = None) -> None:
        self.running: list[FrozenTrial] = []
        self.finished: dict[str, FrozenTrial] = {}
        self.pruned: dict[str, FrozenTrial] = {}
        self.refused: dict[str, FrozenTrial] = {}
        abandoned: dict[str, list[FrozenTrial]] = {}
        for trial in trials:
            key, attributes, state = trial.user_attrs.get(KEY), trial.user_attrs, trial.state.name
            if key is not None and keys is not None and key not in keys:
                continue
            if state == "RUNNING":
                self.running.append(trial)
            elif key is None or REPEATS in attributes:
                continue
            elif state == "COMPLETE":
                self.finished.setdefault(key, trial)
            elif state == "PRUNED":
                self.pruned.setdefault(key, trial)
            elif ABANDONED in attributes:
                abandoned.setdefault(key, []).append(trial)
            elif REASON in attributes:
                self.refused.setdefault(key, trial)
        self._running_keys = {trial.user_attrs.get(KEY) for trial in self.running}
        for key, trials in abandoned.items():
            if sum(trial.user_attrs[ABANDONED] == DIED for trial in trials) >= MOST_DEATHS:
                self.refused.setdefault(key, trials[0])
        self.lost = [trials[0] for key, trials in abandoned.items() if not self.is_taken(key)]

    @property
    def n_finished(self) -> int:
        """Number of architectures that are finished."""
        return len(self.finished)

    def ended(self, key: str) -> "FrozenTrial | None":
        """The trial in which an architecture was tried to its end; ``None`` if there is none."""
        return self.finished.get(key) or self.pruned.get(key) or self.refused.get(key)

    def is_taken(self, key: str) -> bool:
        """Whether an architecture was tried to its end, or is being tried."""
        return self.ended(key) is not None or key in self._running_keys

    def verdict(self, number: int, key: str, n_wanted: int) -> int:
        """
        :param number: number of the trial of a worker that has written its key
        :param key: that key
        :param n_wanted: number of architectures that shall be finished
        :return: ``GO``; ``WAIT`` if nobody can tell yet; ``NO_PLACE`` if others will finish as many as are wanted; or the
            number of the trial that has the same architecture
        """
        if (trial := self.ended(key)) is not None:
            return trial.number
        before = [trial for trial in self.running if trial.number < number]
        for trial in before:
            if trial.user_attrs.get(KEY) == key:
                return trial.number
        if self.n_finished + len(before) >= n_wanted:
            return NO_PLACE
        return GO if all(KEY in trial.user_attrs for trial in before) else WAIT


class Book:
    """
    Reads and writes the trials of a study.

    :param study: the study
    :param storage: its storage
    :param watch: tells which workers are dead
    :param keys: keys that count; ``None`` for all
    """

    def __init__(self, study: "Study", storage: "BaseStorage", watch: Watch, keys: Collection[str] | None = None) -> None:
        self.study = study
        self.storage = storage
        self.watch = watch
        self.keys = keys
        self._study_id = storage.get_study_id_from_name(study.study_name)

    def read(self) -> Snapshot:
        """All trials, now; those of dead workers were ended before."""
        trials = self.study.get_trials(deepcopy=False)
        dead = [trial for trial in trials if trial.state.name == "RUNNING" and self.watch.is_dead(trial)]
        for trial in dead:
            self._bury(trial, DIED)
        return Snapshot(self.study.get_trials(deepcopy=False) if dead else trials, self.keys)

    def claim(self, candidate: Candidate | None) -> int:
        """
        :param candidate: an architecture; ``None`` if a sampler chooses later
        :return: identity of a new trial of this worker, in the state RUNNING
        """
        from optuna.trial import TrialState, create_trial

        attributes: dict[str, object] = {WORKER: self.watch.worker.to_json()}
        params, distributions = {}, {}
        if candidate is not None:
            attributes[KEY] = candidate.key
            params, distributions = dict(candidate.params), dict(candidate.distributions)
        template = create_trial(state=TrialState.RUNNING, params=params, distributions=distributions, user_attrs=attributes)
        return self.storage.create_new_trial(self._study_id, template_trial=template)

    def finish(self, trial: "Trial", score: Score) -> None:
        """
        :param trial: a trial of this worker
        :param score: the whole score
        """
        self._note(trial, SCORE, score.to_json())
        self._tell(trial, "COMPLETE", value_of(score))

    def prune(self, trial: "Trial", score: Score) -> None:
        """
        :param trial: a trial of this worker, which has reported
        :param score: score of a part of the budget
        """
        self._note(trial, IMPRESSION, score.to_json())
        self._tell(trial, "PRUNED")

    def refuse(self, trial: "Trial", reason: str) -> None:
        """
        :param trial: a trial of this worker
        :param reason: why its architecture does not fit
        """
        self._note(trial, REASON, reason)
        self._tell(trial, "FAIL")

    def repeat(self, trial: "Trial", number: int, snapshot: Snapshot) -> None:
        """
        End a trial that is not carried out. The sampler hears the value of the other one, if there is one.

        :param trial: a trial of this worker
        :param number: number of the trial that has the same architecture, or ``NO_PLACE``
        :param snapshot: has that trial
        """
        self._note(trial, REPEATS, number)
        values = [other.value for other in snapshot.finished.values() if other.number == number]
        self._tell(trial, "COMPLETE" if values else "FAIL", values[0] if values else None)

    def abandon(self, trial_id: int) -> None:
        """
        Leave a trial to others.

        :param trial_id: a trial of this worker
        """
        self._bury(self.storage.get_trial(trial_id), INTERRUPTED)

    def _bury(self, trial: "FrozenTrial", why: str) -> None:
        """End the trial of another worker as that would have done, or so that its architecture is tried again."""
        from optuna.trial import TrialState

        with suppress(RuntimeError):  # somebody else has ended it
            if SCORE in trial.user_attrs:
                value = value_of(Score.from_json(trial.user_attrs[SCORE]))
                self.storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [value])
                return
            if not {REASON, REPEATS} & set(trial.user_attrs):
                self.storage.set_trial_user_attr(trial._trial_id, ABANDONED, why)
            self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    def _note(self, trial: "Trial", name: str, value: object) -> None:
        try:
            self.storage.set_trial_user_attr(trial._trial_id, name, value)
        except RuntimeError as error:
            raise Overtaken from error

    def note_key(self, trial: "Trial", key: str) -> None:
        """
        :param trial: a trial of this worker
        :param key: key of its architecture
        """
        self._note(trial, KEY, key)

    def _tell(self, trial: "Trial", state: str, value: float | None = None) -> None:
        from optuna.trial import TrialState

        try:
            self.study.tell(trial, value, state=TrialState[state])
        except (RuntimeError, ValueError) as error:
            if self.storage.get_trial(trial._trial_id).state.is_finished():
                raise Overtaken from error
            raise


def value_of(score: Score) -> float:
    """What Optuna maximises: the mean; minus infinity where that is no number."""
    return score.mean if score.mean == score.mean else float("-inf")


def reason_of(trial: "FrozenTrial") -> str:
    """Why an architecture was refused."""
    return str(trial.user_attrs.get(REASON, f"{MOST_DEATHS} workers died while they tried it"))


def architecture_of(key: str) -> PolicyArchitecture:
    """The architecture of a key."""
    return PolicyArchitecture.of(json.loads(key))
