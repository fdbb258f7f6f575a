"""Output that is not read to its end, as in ``sb3-distill datasets | head -1``."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

CLOSED_PIPE = 141
"""Exit status of a program whose reader has left, as shells tell it: 128 + SIGPIPE."""


class ClosedPipe(Exception):
    """Nobody reads the output any more."""


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """
    Write all output before the block ends, and end silently where its reader has left.

    :raises ClosedPipe: in that case; nothing more is written then
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_has_left():  # the pipe to a worker that died, for instance
            raise
        # Python flushes once more at exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ClosedPipe from None
    except SystemExit as error:
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        raise ClosedPipe from None  # rich ends the program itself when its pipe breaks


def _reader_has_left() -> bool:
    """Whether standard output is a pipe that nobody reads."""
    if not hasattr(select, "poll"):  # Windows
        return False
    poller = select.poll()
    poller.register(sys.stdout.fileno(), select.POLLOUT)
    return any(event & select.POLLERR for _, event in poller.poll(0))
