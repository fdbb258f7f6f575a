"""Distilling for the ensemble: the outer loss sees one prediction of all learners."""

import math
from typing import Literal, TypeAlias

import torch as th
from gymnasium import spaces

from sb3_distill.errors import ArgumentError
from sb3_distill.spaces.sizes import class_sizes
from sb3_distill.typing import Space

Combine: TypeAlias = Literal["probs", "logits"]
"""How the predictions of learners become one: their probabilities are averaged, or their logits."""


def combined(outputs: th.Tensor, space: Space, combine: Combine) -> th.Tensor:
    """
    The outputs of one network that predicts what all learners together do.

    :param outputs: outputs of M learners on the same inputs ``(M, b, n_outputs)``
    :param space: action space; classes are a ``Discrete``, numbers to predict a ``Box``
    :param combine: how they are combined; means of a ``Box`` are averaged in either case
    :return: logits, or means ``(b, n_outputs)``; with ``"probs"`` logits are logarithms of mean probabilities
    """
    if combine == "logits" or isinstance(space, spaces.Box):
        return outputs.mean(dim=0)
    if isinstance(space, spaces.MultiBinary):  # a bit is a choice of two
        return _log_mean(outputs, "logsigmoid") - _log_mean(-outputs, "logsigmoid")
    return th.cat([_log_mean(part, "log_softmax") for part in outputs.split(class_sizes(space), dim=-1)], dim=-1)


def check_combine(combine: object, *others: tuple[str, bool]) -> None:
    """
    :param combine: the argument
    :param others: names of settings that speak of learners one by one, and whether they are in use
    :raises ValueError: for an unknown value, or one of these settings beside it
    """
    if combine not in (None, "probs", "logits"):
        raise ArgumentError(f"`combine` must be None, 'probs' or 'logits', got {combine!r}")
    for name, is_used in others:
        if combine is not None and is_used:
            raise ArgumentError(f"`combine` makes one loss for all learners, and {name} does not go with it: leave out one")


def _log_mean(logits: th.Tensor, squash: str) -> th.Tensor:
    """Logarithm of the mean probability ``(b, n)`` of learners' logits ``(M, b, n)``."""
    log_probs = logits.log_softmax(dim=-1) if squash == "log_softmax" else th.nn.functional.logsigmoid(logits)
    return log_probs.logsumexp(dim=0) - math.log(len(logits))
