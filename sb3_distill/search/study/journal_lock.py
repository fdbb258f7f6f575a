"""The lock of a journal file, which a killed process cannot keep."""

import os
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class JournalLock:
    """
    A lock on the journal itself, which the operating system takes back when its holder dies. Optuna's locks are files, which
    a killed process leaves behind: everybody else would wait for half a minute.

    :param path: the journal
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def acquire(self) -> bool:
        """
        Wait for the lock, and remove a last line that a killed writer has left unfinished.

        :return: true
        :raises OSError: if the file system has no locks
        """
        self.release()  # an interruption may have come between this lock and what it protects
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            _remove_unfinished_line(self._descriptor)
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        """Give the lock back."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def journal_lock(path: Path) -> Any:
    """
    :param path: the journal, which is made if missing
    :return: a lock for ``JournalFileBackend``; one of Optuna's where the file system or Windows has none of this kind
    :raises OSError: if the file cannot be written
    """
    from optuna.storages.journal import JournalFileOpenLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab"):  # what cannot be written says so before it could be taken for a file system without locks
        pass
    lock = JournalLock(path)
    try:
        if fcntl is not None and lock.acquire():
            lock.release()
            return lock
    except OSError:
        pass
    return JournalFileOpenLock(str(path))


def _remove_unfinished_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.ftruncate(descriptor, os.pread(descriptor, size, 0).rfind(b"\n") + 1)
