"""
How the outputs of many members become one action: pure functions of outputs ``(M, b, n_outputs)``.

For actions that are choices every rule is a distribution, of which greedy actions are the mode. ``Box`` actions have a
Gaussian around one point.
"""

from collections.abc import Sequence

import torch as th
from gymnasium import spaces

from sb3_distill.errors import ArgumentError
from sb3_distill.spaces.checks import describe
from sb3_distill.spaces.sizes import class_sizes
from sb3_distill.typing import Space

AUTO = "auto"
"""The rule that ``default_rule`` says."""
OF_CHOICES = {
    "logits": "softmax of the mean of the logits",
    "probs": "mean of the probabilities",
    "vote": "shares of the members' greedy actions",
    "vote-sampled": "every member samples an action, and the majority decides; greedy: the highest mean probability",
}
"""Rules for ``Discrete``, ``MultiDiscrete`` and ``MultiBinary`` actions, which combine each choice by itself."""
OF_NUMBERS = {"mean": "mean of the members' means", "median": "median of the members' means, dimension by dimension"}
"""Rules for ``Box`` actions."""
RULES = {**OF_CHOICES, **OF_NUMBERS}
"""All rules, and what they say."""
LARGEST = 1e9
"""Bound of logits. A choice that is not allowed has an infinite logit, of which a mean of probabilities would make NaN."""


def default_rule(action_space: Space) -> str:
    """
    The rule of ``"auto"``: ``"mean"`` for a ``Box``, ``"vote-sampled"`` for every other space.

    :param action_space: action space of the environment
    :return: name of the rule
    """
    return "mean" if isinstance(action_space, spaces.Box) else "vote-sampled"


def checked_rule(rule: str, action_space: Space) -> str:
    """
    :param rule: a key of ``RULES``, or ``"auto"``
    :param action_space: action space of the environment
    :return: the rule, with ``"auto"`` resolved
    :raises ValueError: for an unknown rule, or one that does not fit the actions
    """
    if rule == AUTO:
        return default_rule(action_space)
    if not isinstance(rule, str) or rule not in RULES:
        raise ArgumentError(f"unknown rule {rule!r} in `combine`; known are {AUTO}, {', '.join(RULES)}")
    fitting = OF_NUMBERS if isinstance(action_space, spaces.Box) else OF_CHOICES
    if rule not in fitting:
        raise ArgumentError(
            f"the rule {rule!r} does not fit actions of {describe(action_space)}; those that fit are {', '.join(fitting)}"
        )
    return rule


def choices_of(outputs: th.Tensor, action_space: Space) -> list[th.Tensor]:
    """
    :param outputs: outputs of members ``(M, b, n_outputs)``
    :param action_space: ``Discrete``, ``MultiDiscrete`` or ``MultiBinary``
    :return: logits of each choice ``(M, b, n)``; those of the bits of a ``MultiBinary`` in one tensor ``(M, b, bits, 2)``
    """
    outputs = outputs.clamp(-LARGEST, LARGEST)
    if isinstance(action_space, spaces.MultiBinary):
        return [th.stack([th.zeros_like(outputs), outputs], dim=-1)]
    return [outputs] if isinstance(action_space, spaces.Discrete) else list(outputs.split(class_sizes(action_space), dim=-1))


def joined(chosen: Sequence[th.Tensor], action_space: Space) -> th.Tensor:
    """
    :param chosen: indices of what was chosen ``(b,)`` for each choice; ``(b, bits)`` for a ``MultiBinary``
    :param action_space: ``Discrete``, ``MultiDiscrete`` or ``MultiBinary``
    :return: actions as SB3's distributions give them: ``(b,)`` for ``Discrete``, else ``(b, dimensions)``
    """
    if isinstance(action_space, spaces.MultiDiscrete):
        return th.stack(list(chosen), dim=-1)
    return chosen[0].float() if isinstance(action_space, spaces.MultiBinary) else chosen[0]


def choose(rule: str, logits: th.Tensor, generator: th.Generator | None) -> th.Tensor:
    """
    :param rule: a key of ``OF_CHOICES``
    :param logits: logits of one choice ``(M, b, ..., n)``
    :param generator: source of randomness of samples (CPU); ``None`` for the mode
    :return: index of what was chosen ``(b, ...)``
    """
    if rule == "logits":
        mean = logits.mean(dim=0)
        return _perturbed(mean, generator).argmax(dim=-1)
    probs = logits.softmax(dim=-1)
    if rule == "probs" or (rule == "vote-sampled" and generator is None):
        mean = probs.mean(dim=0)
        return (mean if generator is None else _perturbed(mean.log(), generator)).argmax(dim=-1)
    if rule == "vote" and generator is not None:
        return _perturbed(votes_of(logits).mean(dim=0).log(), generator).argmax(dim=-1)
    # Of values with equally many votes the one with the higher mean probability wins: one vote weighs more than all of them.
    return (probs + votes_of(_perturbed(logits, generator)) * (2.0 * len(logits))).sum(dim=0).argmax(dim=-1)


def centre(rule: str, outputs: th.Tensor) -> th.Tensor:
    """
    :param rule: a key of ``OF_NUMBERS``
    :param outputs: means of members ``(M, b, dimensions)``
    :return: mean of the ensemble ``(b, dimensions)``
    """
    if rule == "mean":
        return outputs.mean(dim=0)
    ordered = outputs.sort(dim=0).values  # PyTorch's median is the lower of the two in the middle
    return (ordered[(len(outputs) - 1) // 2] + ordered[len(outputs) // 2]) / 2


def votes_of(logits: th.Tensor) -> th.Tensor:
    """
    :param logits: logits of one choice ``(M, b, ..., n)``
    :return: 1 for each member's most likely value, else 0 ``(M, b, ..., n)``
    """
    values = th.arange(logits.shape[-1], device=logits.device)
    return (logits.argmax(dim=-1, keepdim=True) == values).to(logits.dtype)


def _perturbed(logits: th.Tensor, generator: th.Generator | None) -> th.Tensor:
    """With Gumbel noise, by which the largest one is a sample."""
    if generator is None:
        return logits
    noise = -th.empty(logits.shape).exponential_(generator=generator).log()
    return logits + noise.to(logits.device)
