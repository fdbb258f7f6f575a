"""Searches of several workers on one storage, some of which are killed."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import optuna
import pytest
from judges import SPACE, Judge

import judges
from sb3_distill.search.space import SearchSpace
from sb3_distill.search.study.book import ABANDONED, KEY, REPEATS
from sb3_distill.search.study.claims import WORKER, Watch, Worker
from sb3_distill.search.study.run import search
from sb3_distill.search.study.storage import open_storage, open_study


def start(*arguments):
    """A worker, with the imports of this process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", judges.__file__, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def end(process):
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error.decode()


def trials_of(place):
    with open_storage(place) as storage:
        return optuna.load_study(study_name="judge", storage=storage).get_trials()


def check(place, n, log):
    """Exactly ``n`` different architectures are finished, and none was judged to its end twice, but for those of the killed."""
    trials = trials_of(place)
    assert all(trial.state.is_finished() for trial in trials)
    keys = [t.user_attrs[KEY] for t in trials if t.state.name == "COMPLETE" and REPEATS not in t.user_attrs]
    assert len(keys) == n == len(set(keys))
    lines = [line.split(" ", 3) for line in log.read_text().splitlines()]
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
    place, log, rng = tmp_path / "search.journal", tmp_path / "log", random.Random(0)
    judge, n = Judge(seconds=0.05, log=log), 150
    survivor = threading.Thread(target=search, args=(SPACE, [judge], n, (0, 1), place, "tpe"))
    survivor.start()
    for i in range(20):
        context = os.fork if False else None
        assert context is None
        victim = forked(place, log, n)
        time.sleep(rng.uniform(0.05, 0.6))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
    survivor.join()
    check(place, n, log)
