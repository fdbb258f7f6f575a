"""Searches of several workers on one storage, some of which are killed."""

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import judges
import optuna
import pytest
from judges import SPACE, Judge

from sb3_distill.errors import ArgumentError
from sb3_distill.search.space import SearchSpace
from sb3_distill.search.study.book import ABANDONED, KEY, REPEATS
from sb3_distill.search.study.claims import WORKER, Watch, Worker
from sb3_distill.search.study.run import search
from sb3_distill.search.study.storage import open_storage


def start(*arguments):
    """A worker, with the imports of this process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", judges.__file__, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def line_parts(line):
    return line.split(" ", 3)


def end(process):
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error.decode()


def trials_of(place):
    with open_storage(place) as storage:
        return optuna.load_study(study_name="judge", storage=storage).get_trials()


def check(place, n, log):
    """Exactly ``n`` different architectures are finished, and each that was begun is among them."""
    trials = trials_of(place)
    assert all(trial.state.is_finished() for trial in trials)
    keys = [t.user_attrs[KEY] for t in trials if t.state.name == "COMPLETE" and REPEATS not in t.user_attrs]
    assert len(keys) == n == len(set(keys))
    lines = list(map(line_parts, log.read_text().splitlines()))
    ended = Counter(key for what, _, _, key in lines if what == "ends")
    assert set(ended) == set(keys)
    begun = {key for what, _, _, key in lines if what == "begins"}
    assert begun == set(keys)  # what a killed worker had begun was tried again
    return trials, ended


@pytest.mark.slow
@pytest.mark.parametrize("place", ["search.journal", "sqlite:///{}/search.db"])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_two_workers_share_a_storage(tmp_path, place, sampler):
    place, log = place.format(tmp_path) if "://" in place else tmp_path / place, tmp_path / "log"
    for process in [start(place, 30, log, 0.02, sampler) for _ in range(2)]:
        end(process)
    _, ended = check(place, 30, log)
    assert set(ended.values()) == {1}
    assert len({line.split()[1] for line in log.read_text().splitlines()}) == 2, "one worker did all"
    if sampler == "random":
        assert set(ended) == {architecture.key for architecture in SearchSpace.parse(SPACE).draw(30, 0)}


@pytest.mark.slow
def test_no_trial_is_lost_or_doubled_by_twenty_kills(tmp_path):
    place, log, rng, n = tmp_path / "search.journal", tmp_path / "log", random.Random(0), 300
    nest = start("fork", place, n, log, 0.05)

    def hatch():
        nest.stdin.write(b"\n")
        nest.stdin.flush()
        return int(nest.stdout.readline())

    survivor, killed = hatch(), []
    for _ in range(20):
        killed.append(hatch())
        time.sleep(rng.uniform(0.02, 0.5))
        os.kill(killed[-1], signal.SIGKILL)
    n_finished = sum(trial.state.name == "COMPLETE" for trial in trials_of(place))
    assert n_finished < n, "the search ended before the last kill"
    last = hatch()
    end(nest)
    trials, _ = check(place, n, log)
    ended = {}
    for what, pid, _, key in map(line_parts, log.read_text().splitlines()):
        if what == "ends":
            ended.setdefault(key, []).append(int(pid))
    for pids in ended.values():  # a second time only if the first worker was killed before it could say so
        assert set(pids[:-1]) <= set(killed)
    workers = {t.user_attrs[WORKER]["pid"] for t in trials if t.state.name == "COMPLETE"}
    assert workers > {survivor, last}, "the killed workers finished nothing"
    assert sum(ABANDONED in trial.user_attrs for trial in trials) >= 3, "the kills hit no trial"


def hold(place, attributes, key=None):
    """A trial that is running, as another worker would have it."""
    with open_storage(place) as storage:
        study = optuna.load_study(study_name="judge", storage=storage)
        trial = study.ask()
        for name, value in attributes.items():
            trial.set_user_attr(name, value)
        if key is not None:
            trial.set_user_attr(KEY, key)
        return trial.number


def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("who", ["gone", "number taken by another", "silent machine"])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_claim_of_a_dead_worker_is_taken_over(tmp_path, who, sampler):
    place, here = tmp_path / "search.journal", Worker.here()
    search(SPACE, [Judge()], 3, (0,), place, sampler)
    record = {
        "gone": here._replace(pid=gone(), id="dead"),
        "number taken by another": here._replace(start="1", id="dead"),
        "silent machine": here._replace(host="elsewhere", id="dead"),
    }[who]
    key = SearchSpace.parse(SPACE).draw(1, 99)[0].key
    number = hold(place, {WORKER: record.to_json()}, key)
    judge, began = Judge(), time.monotonic()
    result = search(SPACE, [judge], 6, (0,), place, sampler, patience=1.0)["judge"]
    assert (key, None) in judge.calls
    assert key in [architecture.key for architecture, _ in result.finished]
    assert len(result.finished) == 6
    trial = trials_of(place)[number]
    assert trial.state.name == "FAIL"
    assert trial.user_attrs[ABANDONED]
    if who == "silent machine":
        assert time.monotonic() - began > 1


def test_a_dead_worker_without_an_architecture_is_passed_over(tmp_path):
    place = tmp_path / "search.journal"
    search(SPACE, [Judge()], 3, (0,), place)
    hold(place, {WORKER: Worker.here()._replace(pid=gone(), id="dead").to_json()})
    assert len(search(SPACE, [Judge()], 6, (0,), place)["judge"].finished) == 6


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_an_architecture_that_kills_its_workers_is_refused(tmp_path, sampler):
    place, key = tmp_path / "search.journal", SearchSpace.parse(SPACE).draw(3)[2].key
    search(SPACE, [Judge()], 2, (0,), place, sampler)
    for _ in range(5):
        hold(place, {WORKER: Worker.here()._replace(pid=gone(), id="dead").to_json()}, key)
    judge = Judge()
    result = search(SPACE, [judge], 6, (0,), place, sampler)["judge"]
    assert key not in [tried for tried, _ in judge.calls]
    assert len(result.finished) == 6
    (refused,) = [tried for tried in result.tried if tried.state == "refused"]
    assert refused.architecture.key == key
    assert refused.reason == "5 workers died while they tried it"


def test_a_score_that_a_dead_worker_had_written_counts(tmp_path):
    place = tmp_path / "search.journal"
    search(SPACE, [Judge()], 3, (0,), place)
    architecture = SearchSpace.parse(SPACE).draw(1, 99)[0]
    score = Judge().score(architecture, (0,))
    attributes = {WORKER: Worker.here()._replace(pid=gone(), id="dead").to_json(), "score": score.to_json()}
    hold(place, attributes, architecture.key)
    judge = Judge()
    result = search(SPACE, [judge], 4, (0,), place)["judge"]
    assert (architecture.key, score) in [(tried.key, its) for tried, its in result.finished]
    assert not judge.calls


def test_the_claim_of_a_living_worker_is_respected(tmp_path):
    place = tmp_path / "search.journal"
    listed = SearchSpace.parse(SPACE).draw(3)
    search(None, [Judge()], seeds=(0,), storage=place, architectures=listed[:1])
    living = Worker.here()._replace(host="elsewhere", id="living").to_json()
    hold(place, {WORKER: living}, listed[1].key)
    judges_ = [Judge(), Judge()]
    results = []

    def run():
        results.append(search(None, [judges_[0]], seeds=(0,), storage=place, architectures=listed, patience=3.0))

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(1.5)
    assert [key for key, _ in judges_[0].calls] == [listed[2].key]
    assert not results  # it waits for the other worker
    thread.join()
    assert [key for key, _ in judges_[0].calls] == [listed[2].key, listed[1].key]


def test_signs_of_life_come_while_an_architecture_is_tried(tmp_path):
    place, results = tmp_path / "search.journal", []
    slow = Judge(seconds=1.5)

    def run():
        results.append(search(SPACE, [slow], 1, (0,), place, patience=0.6))

    thread = threading.Thread(target=run)
    thread.start()
    while not slow.calls:
        time.sleep(0.01)
    watch = Watch(Worker.here()._replace(host="another machine"), 0.6)
    while not results:
        assert not any(watch.is_dead(trial) for trial in trials_of(place) if trial.state.name == "RUNNING")
        time.sleep(0.05)
    thread.join()
    assert len(slow.calls) == 1


def test_a_worker_that_was_taken_for_dead_changes_nothing(tmp_path):
    """It was stopped for a while: others have tried its architecture meanwhile."""
    place = tmp_path / "search.journal"

    class Stopped(Judge):
        def score(self, architecture, seeds, budget=None):
            if not self.calls:
                with open_storage(place) as storage:
                    study = optuna.load_study(study_name="judge", storage=storage)
                    study.tell(study.get_trials()[-1].number, state=optuna.trial.TrialState.FAIL)
            return super().score(architecture, seeds, budget)

    judge = Stopped()
    result = search(SPACE, [judge], 4, (0,), place, "random")["judge"]
    assert len(result.finished) == 4
    assert len(judge.calls) == 5


def test_a_line_that_a_killed_worker_has_not_finished(tmp_path):
    place = tmp_path / "search.journal"
    search(SPACE, [Judge()], 3, (0,), place)
    with place.open("ab") as file:
        file.write(b'{"op_code":6,"worker_id":"x","trial')
    assert len(search(SPACE, [Judge()], 5, (0,), place)["judge"].finished) == 5


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    search(SPACE, [Judge()], 3, (0,), tmp_path / "search.journal")
    assert len(search(SPACE, [Judge()], 5, (0,), tmp_path / "search.journal")["judge"].finished) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["search.journal"]


@pytest.mark.parametrize("place", ["search.journal", "sqlite:///{}/search.db"])
def test_a_storage_of_another_study_is_refused(tmp_path, place):
    place = place.format(tmp_path) if "://" in place else tmp_path / place
    search(SPACE, [Judge()], 3, (0,), place, task={"env_id": "CartPole-v1"})
    common = {"space": SPACE, "trials": 3, "seeds": (0,), "storage": place, "task": {"env_id": "CartPole-v1"}}
    search(evaluators=[Judge()], **common)
    search(evaluators=[Judge("other")], **{**common, "task": {"env_id": "Acrobot-v1"}})
    for change, message in (
        ({"space": "mlp"}, "a study 'judge' of another space: space.depth"),
        ({"seeds": (0, 1)}, r"another seeds: seeds \[0\] there, \[0, 1\] here"),
        ({"task": {"env_id": "Acrobot-v1"}}, 'task.env_id "CartPole-v1" there, "Acrobot-v1" here'),
        ({"evaluators": [Judge(budget=7)]}, "another evaluator: evaluator.budget 90 there, 7 here"),
        ({"task": None, "seeds": (5,)}, "another task and another seeds"),
    ):
        with pytest.raises(ArgumentError, match=message):
            search(**{**common, "evaluators": [Judge()], **change})


def test_places_that_are_no_storages(tmp_path):
    (tmp_path / "text").write_text("nothing")
    for place, message in (
        (tmp_path / "text", "is no journal of Optuna"),
        (tmp_path, "got the folder"),
        ("nosuchdatabase://host/name", "cannot be opened"),
    ):
        with pytest.raises(ArgumentError, match=message):
            search(SPACE, [Judge()], 3, storage=place)
