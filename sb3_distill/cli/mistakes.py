"""
Whose mistake an error is.

This package raises the errors of ``sb3_distill.errors`` for users' mistakes. Other packages have no such errors:
Stable-Baselines3, PyTorch and rl-zoo answer a wrong argument by whatever goes wrong with it. Where such an argument is handed
over, the functions of this module make a sentence of the answer; any other error is a bug, and stays one.
"""

import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import gymnasium as gym
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_distill.errors import ArgumentError, SB3DistillError

MISTAKES = (SB3DistillError, OSError, gym.error.Error)
"""Errors that tell a user what to mend: ours, those of the operating system, and those of Gymnasium's registry."""
PACKAGE = Path(__file__).parents[1]


@contextmanager
def interruption_says(sentence: str) -> Iterator[None]:
    """
    :param sentence: what an interruption leaves behind, for its message
    :raises KeyboardInterrupt: of the same kind, with that message
    """
    try:
        yield
    except KeyboardInterrupt as interruption:
        raise type(interruption)(sentence) from interruption


@contextmanager
def interruptions(numbers: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)) -> Iterator[list[int]]:
    """
    Take Ctrl-C and SIGTERM as a ``KeyboardInterrupt`` while a command runs. Signals that the process ignores stay
    ignored, and signals are left alone where this is not the main thread.

    :param numbers: signals that end a command
    :return: the list of those that came
    """
    came: list[int] = []

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in numbers}
        before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def refused_by(algorithm: type[BaseAlgorithm]) -> Iterator[None]:
    """
    Tell an error that is raised while an algorithm is made, or prepares to learn, as one of its arguments. SB3 checks some
    of them by assertions, and others not at all.

    :param algorithm: class that is made from a user's arguments somewhere inside
    :raises ArgumentError: for such an error
    """
    try:
        yield
    except MISTAKES:
        raise
    except (ValueError, TypeError, AssertionError, RuntimeError) as error:
        if _is_ours(error) or not _passed(error, algorithm.__init__, algorithm._setup_learn):
            raise
        raise ArgumentError(f"{algorithm.__name__} does not take these arguments: {_sentence(error)}") from error


@contextmanager
def refused_by_others(program: str, *learning: Callable[..., object]) -> Iterator[None]:
    """
    Tell an error that another package raises as the answer of a program to its arguments.

    :param program: name of a program of another package, which runs inside with a user's arguments
    :param learning: functions of this package that come after all arguments were understood, so that an error in them is
        a bug, wherever it is raised
    :raises ArgumentError: for an error that was not raised by this package
    """
    try:
        yield
    except MISTAKES:
        raise
    except Exception as error:
        if _is_ours(error) or _passed(error, *learning):
            raise
        raise ArgumentError(f"{_sentence(error)} (raised in {program}; SB3_DISTILL_TRACEBACK=1 shows where)") from error


def _sentence(error: Exception) -> str:
    """The text of an error; where that alone says little, with the kind of the error."""
    says_enough = isinstance(error, (ValueError, TypeError, AssertionError, ImportError, NotImplementedError)) and str(error)
    return str(error) if says_enough else f"{type(error).__name__}: {error}"


def _passed(error: Exception, *functions: Callable[..., object]) -> bool:
    """Whether an error was raised in one of some functions, or in what they call."""
    codes = {getattr(function, "__code__", None) for function in functions}
    return any(frame.f_code in codes for frame, _ in traceback.walk_tb(error.__traceback__))


def _is_ours(error: Exception) -> bool:
    """Whether the line that raised an error is one of this package."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return PACKAGE in Path(frame.f_code.co_filename).parents
