"""Step sizes of the outer loop."""

import math
import numbers
from collections.abc import Mapping

from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import FloatSchedule, LinearSchedule

from sb3_distill.errors import ArgumentAssertionError, ArgumentError
from sb3_distill.typing import Rate

FOLLOWING_RATES = {"labels": 10.0, "rates": 5.0, "log_std": 1.0, "critic": 0.5, "encoder": 0.05, "input_scale": 0.0}
"""Step sizes that an argument may say (``labels_learning_rate``, ...), by default in these units of ``learning_rate``."""


def schedule(rate: Rate) -> Schedule:
    """
    :param rate: a number, a function of the remaining progress, or ``"lin_x"``: from x to zero, as rl-zoo writes it
    :return: a function of the remaining progress
    :raises ValueError: for anything else
    """
    if not (isinstance(rate, (str, numbers.Real)) or callable(rate)):
        raise ArgumentAssertionError(f"a step size must be a number, a function or 'lin_<number>', got {rate!r}")
    if not isinstance(rate, str):
        return FloatSchedule(rate)
    kind, _, start = rate.partition("_")
    try:
        if kind != "lin":
            raise ValueError
        return LinearSchedule(float(start), 0.0, 1.0)
    except ValueError:
        raise ArgumentError(f"a schedule must be written 'lin_<number>', got {rate!r}") from None


def step_sizes(main: float, rates: Mapping[str, Rate | None], progress: float) -> dict[str, float]:
    """
    :param main: the step size of the synthetic observations
    :param rates: a rate for each key of ``FOLLOWING_RATES``; ``None`` to follow ``main``
    :param progress: remaining progress, from 1 to 0
    :return: the step size of each group of parameters; that of the observations is called ``"learning"``
    :raises ValueError: if one is negative, NaN or infinite
    """
    sizes = {"learning": main}
    for name, factor in FOLLOWING_RATES.items():
        rate = rates[name]
        sizes[name] = factor * main if rate is None else float(schedule(rate)(progress))
    for name, size in sizes.items():
        if size < 0:
            raise ArgumentError(f"learning rates must not be negative, but that of {name} is {size}")
        if not math.isfinite(size):
            raise ArgumentError(f"learning rates must be finite, but that of {name} is {size}")
    return sizes
