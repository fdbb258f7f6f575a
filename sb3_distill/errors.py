"""
The errors of this package: each says what is wrong, what was found, and how to mend it.

Every class is also the builtin error that fits best, so that ``except ValueError`` catches what it always did. The command
line prints these errors in one line; any other error is a bug, and shows where it happened.

``warn`` is for what may be meant so: the warning shows the line of the user's program that caused it.
"""

import sys
import warnings

NOT_THE_USERS = ("sb3_distill", "stable_baselines3", "torch", "contextlib", "functools")
"""Packages between a warning and the user's line that caused it."""


class SB3DistillError(Exception):
    """Base class of all errors that this package raises on purpose."""


class ArgumentError(SB3DistillError, ValueError):
    """An argument, an environment, an agent or a network that is not as it must be."""


class ArgumentAssertionError(ArgumentError, AssertionError):
    """An argument that SB3 refuses by an assertion."""


class FixedSettingError(SB3DistillError, AttributeError):
    """An attribute that cannot change while a model lives."""


class UnsupportedError(SB3DistillError, TypeError):
    """A network or a policy of a kind that cannot be taught."""


class DatasetError(SB3DistillError, ValueError):
    """A dataset that cannot be used: its file is damaged, of a newer format, or not consistent."""


class RecordingError(DatasetError):
    """Recorded play that cannot be used: it is empty, ragged or not finite, or its file is damaged."""


class MisfitError(DatasetError):
    """A sound dataset that does not fit this policy, or these spaces."""


class MissingExtraError(SB3DistillError, ImportError):
    """A package that is needed and not installed; the message has the command that installs it."""


class NotFiniteError(SB3DistillError, FloatingPointError):
    """A number that is NaN or infinite."""


def warn(message: str) -> None:
    """
    :param message: a ``UserWarning`` at the innermost line that is not of ``NOT_THE_USERS``
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in NOT_THE_USERS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
