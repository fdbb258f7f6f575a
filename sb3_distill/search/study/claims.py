"""
Who tries an architecture, and whether that worker is alive.

A claim is a trial in the state RUNNING, with the worker's record and a sign of life that the worker renews. It is in the same
storage as the results, and needs nothing else that the machines share.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from sb3_distill.typing import Json

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

WORKER = "worker"
"""Attribute of a trial: the record of its worker."""
BEAT = "beat"
"""Attribute of a trial: time of the last sign of life of its worker, in seconds since 1970."""
PATIENCE = 60.0
"""Seconds without a sign of life after which a worker counts as dead."""
BEATS = 6
"""Signs of life within that time."""


class Worker(NamedTuple):
    """
    A process that tries architectures.

    :param host: the machine since its last start, and the world of process numbers on it (containers have their own)
    :param pid: number of the process
    :param start: when the process began; empty where the operating system does not say
    :param id: drawn at random
    """

    host: str
    pid: int
    start: str
    id: str

    @classmethod
    def here(cls) -> "Worker":
        """A worker in this process."""
        return cls(_host(), os.getpid(), _start_of(os.getpid()), secrets.token_hex(8))

    def to_json(self) -> Json:
        """All fields."""
        return self._asdict()


class Watch:
    """
    Tells which workers are dead: those whose process on this machine is gone, and those of any machine that have given no
    sign of life while this worker has watched. Clocks of machines are never compared.

    :param worker: the worker who watches
    :param patience: seconds without a sign of life after which a worker counts as dead
    """

    def __init__(self, worker: Worker, patience: float = PATIENCE) -> None:
        self.worker = worker
        self.patience = patience
        self._seen: dict[int, tuple[object, float]] = {}

    def is_dead(self, trial: "FrozenTrial") -> bool:
        """
        :param trial: a trial in the state RUNNING
        :return: whether its worker is dead
        """
        record = trial.user_attrs.get(WORKER, {})
        if record.get("id") == self.worker.id:
            return False
        if record.get("host") == self.worker.host and _is_gone(record):
            return True
        now, beat = time.monotonic(), trial.user_attrs.get(BEAT)
        last, since = self._seen.get(trial.number, (object(), now))
        if last != beat:
            since = now
        self._seen[trial.number] = (beat, since)
        return now - since > self.patience


class Heartbeat:
    """
    Renews the sign of life of a trial while the block runs, in a thread.

    :param storage: where the trial lies
    :param trial_id: the trial
    :param patience: seconds after which others give a silent worker up
    """

    def __init__(self, storage: "BaseStorage", trial_id: int, patience: float = PATIENCE) -> None:
        self._storage = storage
        self._trial_id = trial_id
        self._interval = patience / BEATS
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat of a search", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                self._storage.set_trial_user_attr(self._trial_id, BEAT, time.time())
            except RuntimeError:  # the trial has ended: somebody took this worker for dead
                break
            except Exception:  # a beat that a busy storage refused; the next one may come through
                continue
        self._storage.remove_session()


def _host() -> str:
    """A name that no other machine has, even where two have one host name; a new one after each start."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot = processes = ""
    return f"{socket.gethostname()} {boot} {processes}".strip()


def _start_of(pid: int) -> str:
    """When a process began, in ticks; empty for one that has ended, or where the operating system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]  # a dead process stays listed until its parent asks for its status


def _is_gone(record: Mapping[str, object]) -> bool:
    if os.name != "posix":  # on Windows, signal 0 ends a process
        return False
    pid = int(record["pid"])  # type: ignore[call-overload]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return _start_of(pid) != record["start"]
