"""``sb3-distill`` and ``python -m sb3_distill.cli``: the command line, which may be interrupted while it is imported."""

import os
import signal
import sys
from types import FrameType

USUAL = (signal.default_int_handler, signal.SIG_DFL)
"""Handlers of a process that nobody has told what to do."""


def main() -> int:
    """
    :return: exit status, see ``cli.program.main``; 130 or 143 after Ctrl-C or SIGTERM during the seconds of imports too
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler in USUAL:
            signal.signal(number, _end)
    from sb3_distill.cli.program import main as run

    for number, handler in before.items():
        signal.signal(number, handler)
    return run()


def _end(number: int, _: FrameType | None) -> None:
    """End at once: an error would pass through half-made modules, some of which swallow it."""
    os.write(2, b"interrupted: nothing was written\n")
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
