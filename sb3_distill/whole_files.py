"""
Files and folders that appear whole or not at all, whenever the process is killed, and whoever else writes there.

A writer works in a scratch folder of its own beside the target, which ends in ``.part`` and is locked while it writes. What is
whole is moved into place, which no other process sees half done. A killed writer leaves its scratch folder; the next writer of
the same target finds it without a lock and removes it.
"""

import errno
import io
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: no locks, and folders cannot be opened
    fcntl = None  # type: ignore[assignment]

ENDING = ".part"
"""Ending of a scratch folder."""


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """
    :param path: target that will be written; the folder that holds it is made if missing
    :return: a new folder beside it, which no other writer has, and which is gone afterwards
    :raises OSError: with the path of the target, for whatever the operating system refuses inside
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent, re.escape(f"{path.name}."))
        folder, lock = _locked_folder(path)
    except OSError as error:
        raise _told_of(path, error) from error
    try:
        yield folder
    except OSError as error:
        raise _told_of(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def write_whole(path: Path, content: bytes | Callable[[Path], object]) -> None:
    """
    Write a file, which appears whole or not at all. A file that is there is replaced, and stays what it was after an error.

    :param path: path of the file; its folder is made if missing
    :param content: its bytes, or a function that writes them to a path of the same name in another folder
    :raises OSError: with ``path``, if it cannot be written
    """
    with scratch_beside(path) as folder:
        scratch = folder / path.name
        if callable(content):
            content(scratch)
        else:
            scratch.write_bytes(content)
        flush(scratch)
        os.replace(scratch, path)
        flush(path.parent)


def write_zip(path: Path, save: Callable[[io.BytesIO], object]) -> None:
    """
    Write a zip as SB3's ``save`` does, which adds the ending to a path without one; but whole or not at all.

    :param path: path of the zip
    :param save: writes the zip into a buffer
    :raises OSError: see ``write_whole``
    """
    content = io.BytesIO()
    save(content)
    write_whole(path if path.suffix else path.with_suffix(".zip"), content.getvalue())


def check_writable(path: Path, n_bytes: int = 4_096) -> None:
    """
    Whether a file or a folder can be written there; what takes long asks before, and leaves nothing behind.

    :param path: target that will be written; the folder that holds it is made if missing
    :param n_bytes: size that it will have, about
    :raises OSError: with ``path``, if it cannot be written, or the disk is full
    """
    with scratch_beside(path) as folder:
        (folder / path.name).write_bytes(bytes(4_096))
        flush(folder / path.name)
        if (free := shutil.disk_usage(folder).free) < n_bytes:
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {free:,} bytes are free, and {n_bytes:,} needed")


def flush(path: Path) -> None:
    """Wait until a file, or the list of names of a folder, is on the disk."""
    if path.is_dir() and fcntl is None:
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot
            raise
    finally:
        os.close(descriptor)


def _told_of(path: Path, error: OSError) -> OSError:
    """An error of the operating system as one of a path that the user knows, in place of a scratch file."""
    if error.filename == str(path):
        return error
    return OSError(error.errno or errno.EIO, f"cannot be written: {error.strerror or error}", str(path))


def remove_abandoned(folder: Path, beginning: str) -> None:
    """
    Remove scratch folders whose writers were killed.

    :param folder: folder in which they lie
    :param beginning: regular expression that their names match at the beginning
    """
    if fcntl is None:
        return
    for entry in os.scandir(folder):
        if not (entry.name.endswith(ENDING) and re.match(beginning, entry.name) and entry.is_dir(follow_symlinks=False)):
            continue
        with suppress(OSError):
            lock = os.open(entry.path, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while somebody writes there
                shutil.rmtree(entry.path, ignore_errors=True)
            finally:
                os.close(lock)


def _locked_folder(path: Path) -> tuple[Path, int | None]:
    """A new scratch folder, and the lock that says that somebody writes there (``None`` where there are no locks)."""
    while True:
        folder = path.with_name(f"{path.name}.{secrets.token_hex(8)}{ENDING}")
        folder.mkdir()
        if fcntl is None:
            return folder, None
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # it was taken for an abandoned one before it was locked
            continue
        except OSError:
            folder.rmdir()
            raise
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)
