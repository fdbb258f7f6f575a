"""Arguments of any kind of function: whole numbers, numbers, seeds, devices."""

import math
import numbers

import torch as th
from stable_baselines3.common.utils import get_device

from sb3_distill.errors import ArgumentError

SEEDS = range(-(2**63), 2**64)
"""Seeds that PyTorch takes."""
DRAWN = 2**62
"""Seeds that are drawn are below this number."""


def whole(name: str, value: object, low: int = 1, high: int | None = None, what: str = "") -> int:
    """
    :param name: name of the argument
    :param value: its value
    :param low: smallest number that it may be
    :param high: largest one; ``None`` for any
    :param what: what the largest one is, for the message
    :return: the value, if it is such a whole number, of Python or NumPy
    :raises ValueError: for anything else
    """
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        if low <= (n := int(value)) and (high is None or n <= high):
            return n
    bound = "" if high is None else f" to {high}{what and f', {what}'}"
    raise ArgumentError(f"`{name}` must be a whole number from {low}{bound}, got {value!r}")


def number(name: str, value: object) -> float:
    """
    :param name: name of the argument
    :param value: its value
    :return: the value, if it is a real number, of Python or NumPy, which may be NaN or infinite
    :raises ValueError: for anything else
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    raise ArgumentError(f"`{name}` must be a number, got {value!r}")


def not_negative(name: str, value: object) -> float:
    """
    :param name: name of the argument
    :param value: its value
    :return: the value, if it is a number from 0, which may be infinite
    :raises ValueError: for anything else
    """
    if math.isnan(size := number(name, value)) or size < 0:
        raise ArgumentError(f"`{name}` must be a number from 0, got {value!r}")
    return size


def share(name: str, value: object) -> float:
    """
    :param name: name of the argument
    :param value: its value
    :return: the value, if it is a number from 0 to 1
    :raises ValueError: for anything else
    """
    if not 0 <= (part := number(name, value)) <= 1:
        raise ArgumentError(f"`{name}` must be in [0, 1], got {value}")
    return part


def positive(name: str, value: object) -> float:
    """
    :param name: name of the argument
    :param value: its value
    :return: the value, if it is a finite number above 0
    :raises ValueError: for anything else
    """
    if not 0 < (size := number(name, value)) < math.inf:
        raise ArgumentError(f"`{name}` must be positive, got {value!r}")
    return size


def drawn_seed(seed: object, below: int = DRAWN) -> int:
    """
    :param seed: an argument ``seed``; ``None`` draws one from PyTorch's global generator
    :param below: bound of a seed that is drawn
    :return: the seed
    :raises ValueError: for anything but ``None`` and a whole number that PyTorch takes
    """
    if seed is None:
        return int(th.randint(below, ()))
    if isinstance(seed, numbers.Integral) and not isinstance(seed, bool) and int(seed) in SEEDS:
        return int(seed)
    raise ArgumentError(f"`seed` must be None or a whole number from -2**63 to 2**64 - 1, got {seed!r}")


def device_of(device: object) -> th.device:
    """
    :param device: an argument ``device``: cpu, cuda, auto, or another name of PyTorch's
    :return: the device; the CPU for a GPU that is not there
    :raises ValueError: if there is no such device, or it does not compute
    """
    try:
        place = get_device(device)  # type: ignore[arg-type]
        th.empty(0, device=place)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise ArgumentError(f"`device` must be cpu, cuda, auto or another one of PyTorch's, got {device!r}") from error
    if place.type == "meta":
        raise ArgumentError("`device` must be one that computes, got 'meta'")
    return place
