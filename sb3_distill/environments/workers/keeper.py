"""
The process between a program and its forked workers, which waits for them.

A program that is killed waits for nobody. Its workers would end by themselves, but stay in the table of processes until the
first process of the system looks at them, which takes seconds in some containers and does not happen in others.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Protocol

from sb3_distill.environments.workers.program import call_after_parent, work


class WorkerProcess(Protocol):
    """What a ``WorkerVecEnv`` asks of a process."""

    @property
    def pid(self) -> int | None: ...
    @property
    def exitcode(self) -> int | None: ...
    def is_alive(self) -> bool: ...
    def join(self, timeout: float | None = None) -> None: ...
    def kill(self) -> None: ...


class Keeper:
    """
    Starts workers in a process of its own.

    :param context: context of ``multiprocessing`` that forks
    :param programs: for each worker the functions that make its environments, as cloudpickle writes them
    :param connections: the workers' ends of their pipes; they are closed here
    """

    def __init__(self, context: Any, programs: Sequence[bytes], connections: Sequence[Connection]) -> None:
        self._report, report = context.Pipe(duplex=False)
        self._process = context.Process(target=_keep, args=(programs, connections, self._report, report), daemon=True)
        self._process.start()
        for connection in (report, *connections):
            connection.close()
        self._exitcodes: dict[int, int] = {}
        try:
            self.workers = [KeptProcess(self, pid) for pid in self._report.recv()]
        except EOFError:
            raise RuntimeError("the process that starts the workers has ended") from None

    def exitcode(self, pid: int, timeout: float | None = 0.0) -> int | None:
        """Exit code of a worker that ends within some seconds, or at last (``None``); as ``multiprocessing`` has it."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while pid not in self._exitcodes:
            try:
                if not self._report.poll(None if deadline is None else max(0.0, deadline - time.monotonic())):
                    return None
                ended, exitcode = self._report.recv()
            except (EOFError, ConnectionError):  # somebody killed the keeper, and with it the workers
                ended, exitcode = pid, -signal.SIGKILL
            self._exitcodes[ended] = exitcode
        return self._exitcodes[pid]

    def close(self) -> None:
        """Wait for the process, after all workers have ended."""
        self._process.join()
        self._report.close()


class KeptProcess:
    """A worker, as its program sees it."""

    def __init__(self, keeper: Keeper, pid: int) -> None:
        self._keeper, self.pid = keeper, pid

    @property
    def exitcode(self) -> int | None:
        return self._keeper.exitcode(self.pid)

    def is_alive(self) -> bool:
        return self.exitcode is None

    def join(self, timeout: float | None = None) -> None:
        self._keeper.exitcode(self.pid, timeout)

    def kill(self) -> None:
        if self.is_alive():
            _kill([self.pid])


def _keep(programs: Sequence[bytes], connections: Sequence[Connection], theirs: Connection, report: Connection) -> None:
    """What the process does: start workers, tell of each that ends, and end all of them with the program."""
    left: list[int] = []

    def end_all(*_: object) -> None:
        _kill(left)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal comes to the workers too
    hangup = signal.getsignal(signal.SIGHUP)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end_all)
    theirs.close()
    for i, program in enumerate(programs):
        left.append(_worker(program, connections[i], [report, *connections[i + 1 :]], hangup))
        connections[i].close()
    report.send(left)
    call_after_parent(end_all)
    while left:
        pid, status = os.wait()
        if pid in left:
            left.remove(pid)
            with suppress(OSError):  # the program has ended
                report.send((pid, os.waitstatus_to_exitcode(status)))


def _worker(program: bytes, connection: Connection, others: Sequence[Connection], hangup: Any) -> int:
    """
    Start a worker.

    :param program: see ``work``
    :param connection: see ``work``
    :param others: pipes that it shall not hold open
    :param hangup: what SIGHUP does to it
    :return: number of its process
    """
    if (pid := os.fork()) != 0:
        return pid
    exitcode = 1
    try:
        signal.signal(signal.SIGHUP, hangup)
        for other in others:
            other.close()
        work(program, connection)
        exitcode = 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(exitcode)


def _kill(pids: Sequence[int]) -> None:
    for pid in list(pids):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
