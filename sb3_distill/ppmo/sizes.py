"""The numbers of learners, instances and transitions: their defaults, and what they must satisfy."""

import warnings
from typing import Any

from gymnasium import spaces

from sb3_distill.errors import ArgumentError
from sb3_distill.spaces.sizes import min_instances, n_classes, n_outputs

MAX_LEARNERS = 8
BOX_RATE = 0.6
"""Initial inner rate per dimension of continuous actions: the loss of a learner is a mean over all of them."""
BOX_INSTANCES = 64
"""Instances for continuous actions, as in the paper."""


def resolve_n_learners(n_learners: int | None, n_envs: int | None) -> int:
    """
    :param n_learners: as given; ``None`` for the largest divisor of ``n_envs`` up to 8
    :param n_envs: number of environments, if there are any
    :return: number of learners
    :raises ValueError: if the environments cannot be shared out evenly
    """
    if n_learners is None:
        return 1 if n_envs is None else max(m for m in range(1, min(MAX_LEARNERS, n_envs) + 1) if n_envs % m == 0)
    if n_learners < 1:
        raise ArgumentError(f"`n_learners` must be at least 1, got {n_learners}")
    if n_envs is not None and n_envs % n_learners:
        raise ArgumentError(
            f"`n_learners` must divide the number of environments, so that each learner drives as many: "
            f"{n_envs} environments, n_learners={n_learners}"
        )
    return n_learners


def resolve_batch_size(batch_size: int | None, n_envs: int | None, n_steps: int, n_learners: int, normalize: bool) -> int:
    """
    :param batch_size: as given; ``None`` for a quarter of a rollout, at least 64
    :param n_envs: number of environments, if there are any
    :param n_steps: of a rollout
    :param n_learners: number of learners
    :param normalize: whether advantages are normalised per minibatch
    :return: transitions of a minibatch
    :raises ValueError: if a minibatch could not hold a transition of every learner
    :raises AssertionError: if there would be a single transition, which cannot be normalised (as in SB3)
    """
    buffer_size = (n_envs or 1) * n_steps
    assert n_envs is None or buffer_size > 1 or not normalize, (
        f"`n_steps * n_envs` must be greater than 1. Currently n_steps={n_steps} and n_envs={n_envs}"
    )
    if batch_size is None:
        return max(min(64, buffer_size), buffer_size // 4, n_learners)
    assert batch_size > 1 or not normalize, "`batch_size` must be greater than 1, or its advantages cannot be normalised"
    if batch_size < n_learners:
        raise ArgumentError(
            f"`batch_size` must be at least the number of learners, one transition each: "
            f"batch_size={batch_size}, {n_learners} learners"
        )
    share, per_learner = batch_size // n_learners, buffer_size // n_learners
    last = per_learner % share * n_learners
    if n_envs is not None and batch_size < buffer_size and last:
        warnings.warn(
            f"a mini-batch size of {batch_size} does not divide the rollout buffer of `n_steps * n_envs = {buffer_size}` "
            f"transitions: after every {per_learner // share} untruncated mini-batches, "
            f"there will be a truncated mini-batch of size {last}",
            stacklevel=3,
        )
    return batch_size


def resolve_n_instances(n_instances: int | None, action_space: spaces.Space[Any]) -> int:
    """
    :param n_instances: as given; ``None`` for ``min_instances`` where an action is one choice, for one instance per class
        where it is several at once (the minimum of Eq. 3 is then learned, but slowly), and for 64 for a ``Box``
    :param action_space: of the environment
    :return: number of synthetic instances, ``k``
    :raises ValueError: if there are none
    """
    discrete = not isinstance(action_space, spaces.Box)
    if n_instances is None:
        if isinstance(action_space, spaces.Discrete):
            return min_instances(action_space)
        return n_classes(action_space) if discrete else BOX_INSTANCES
    if isinstance(n_instances, bool) or not isinstance(n_instances, int) or n_instances < 1:
        raise ArgumentError(f"`n_instances` must be at least 1 and whole, got {n_instances!r}")
    if discrete and n_instances < (k_min := min_instances(action_space)):
        warnings.warn(
            f"n_instances={n_instances} is below the {k_min} that Eq. 3 of the paper, ceil(c / 2) + 1, expects to be needed "
            f"for {action_space}",
            stacklevel=3,
        )
    return n_instances


def default_inner_rate(action_space: spaces.Space[Any], relative: bool) -> float:
    """
    :param action_space: of the environment
    :param relative: whether it is relative to the size of the features
    :return: where the learned rate of the gradient steps starts if nothing is said: 1, or ``BOX_RATE`` per action dimension;
        relative ones where one step makes up for most of a common error of all instances
    """
    if relative:
        return 0.5 * n_outputs(action_space)
    return BOX_RATE * n_outputs(action_space) if isinstance(action_space, spaces.Box) else 1.0
