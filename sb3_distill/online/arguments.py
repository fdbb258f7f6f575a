"""Arguments that stay live: a callback, a script or ``load`` may set them at any time, and the next iteration follows."""

import inspect
import math
import numbers
from collections.abc import Callable, Collection, Mapping

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy, MultiInputActorCriticPolicy

from sb3_distill.errors import ArgumentAssertionError, ArgumentError, warn
from sb3_distill.networks.policy_kwargs import check_policy_kwargs
from sb3_distill.online.buffers import LearnerRolloutBuffer
from sb3_distill.spaces.values import plain
from sb3_distill.typing import Space

NUMBERS = ("gamma", "gae_lambda", "ent_coef", "vf_coef", "max_grad_norm", "weight_decay", "target_kl")
WHOLE_NUMBERS = ("n_steps", "batch_size", "n_epochs", "n_updates", "buffer_size")
NOT_NEGATIVE = ("vf_coef", "max_grad_norm", "weight_decay")
MAY_BE_INFINITE = ("max_grad_norm", "target_kl")
"""Bounds; an infinite one bounds nothing."""
AT_LEAST_ONE = ("n_steps", "n_epochs", "n_updates", "buffer_size")


def check_live_arguments(model: object) -> None:
    """
    :param model: a model with attributes of these names, or some of them
    :raises ValueError: if one is of the wrong kind, or out of range
    :raises AssertionError: if ``clip_range_vf`` is not positive
    """
    for name, value in list(vars(model).items()):
        if isinstance(value, np.generic):  # NumPy's numbers are numbers, here and in files
            setattr(model, name, plain(value))
    for names, kind, word in ((NUMBERS, numbers.Real, "a number"), (WHOLE_NUMBERS, numbers.Integral, "a whole number")):
        for name in names:
            value = getattr(model, name, None)
            if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
                raise ArgumentError(
                    f"`{name}` must be {word}, got {value!r}; schedules are for learning rates and clip ranges"
                )
    _check_finite(model)
    for name in NOT_NEGATIVE:
        if float(value := getattr(model, name)) < 0:
            raise ArgumentError(f"`{name}` must not be negative, got {value}")
    for name in AT_LEAST_ONE:
        if int(value := getattr(model, name, 1)) < 1:
            raise ArgumentError(f"`{name}` must be at least 1, got {value}")
    rate = getattr(model, "learning_rate", None)
    if isinstance(rate, numbers.Integral) and int(rate) >= 1:
        raise ArgumentError(
            f"`learning_rate` must be a step size such as 0.005, got the whole number {rate}: the number of synthetic "
            f"instances is called n_instances={rate}"
        )
    clip_range, clip_range_vf = getattr(model, "clip_range", None), getattr(model, "clip_range_vf", None)
    if isinstance(clip_range, (int, float)) and not clip_range > 0:
        raise ArgumentError(f"`clip_range` must be positive, got {clip_range}")
    if isinstance(clip_range_vf, (int, float)) and not clip_range_vf > 0:
        raise ArgumentAssertionError(f"`clip_range_vf` must be positive, or None, which deactivates it; got {clip_range_vf}")


def _check_finite(model: object) -> None:
    """NaN would be learned from for hours, and then not be written."""
    for name in (*NUMBERS, "clip_range", "clip_range_vf"):
        value = getattr(model, name, None)
        if isinstance(value, numbers.Real) and not math.isfinite(float(value)):
            if not (name in MAY_BE_INFINITE and float(value) > 0):
                raise ArgumentError(f"`{name}` must be finite, got {value}")
    kwargs = getattr(model, "policy_kwargs", None)
    for name, value in kwargs.items() if isinstance(kwargs, Mapping) else ():
        if not _is_finite(value):
            raise ArgumentError(f"`policy_kwargs` has {name}={value!r}: numbers in it must be finite")


def _is_finite(value: object) -> bool:
    """Whether no number in dicts, lists and tuples is NaN or infinite."""
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_finite, value))
    return not isinstance(value, numbers.Real) or math.isfinite(float(value))


def check_policy(policy: object, policy_kwargs: object, observation_space: Space, aliases: Collection[str]) -> None:
    """
    :param policy: the policy class
    :param policy_kwargs: its arguments
    :param observation_space: observation space of the environment
    :param aliases: names of policies, for the message
    :raises ValueError: if it is no policy class, or one for other observations
    """
    check_policy_kwargs(policy_kwargs)
    if not (inspect.isclass(policy) and issubclass(policy, BasePolicy)):
        raise ArgumentError(f"`policy` must be one of {', '.join(aliases)}, or an SB3 policy class, got {policy!r}")
    if issubclass(policy, MultiInputActorCriticPolicy) and not isinstance(observation_space, spaces.Dict):
        raise ArgumentError(
            f"MultiInputPolicy is for Dict observations, the environment has {observation_space}: use MlpPolicy or CnnPolicy"
        )


def check_buffer(buffer_class: type | None) -> None:
    """
    :param buffer_class: the rollout buffer; ``None`` for the default
    :raises ValueError: if it does not keep the transitions of each learner together
    """
    if buffer_class is not None and not inspect.isclass(buffer_class):
        raise ArgumentError(f"`rollout_buffer_class` must be a class, got {buffer_class!r}")
    if buffer_class is not None and not issubclass(buffer_class, LearnerRolloutBuffer):
        raise ArgumentError(
            f"`rollout_buffer_class` must derive from LearnerRolloutBuffer, which keeps the transitions of each learner "
            f"together; {buffer_class.__name__} does not. (A zip that names it was saved by another algorithm: "
            f"load it with that one)"
        )


def resolve_batch_size(batch_size: int | None, n_envs: int | None, n_steps: int, n_learners: int, normalize: bool) -> int:
    """
    :param batch_size: the argument; ``None`` for a quarter of a rollout, at least 64
    :param n_envs: number of environments; ``None`` without an environment
    :param n_steps: steps of each environment in a rollout
    :param n_learners: number of learners
    :param normalize: whether advantages are normalised per minibatch
    :return: transitions of a minibatch
    :raises ValueError: if a minibatch could not hold a transition of every learner
    :raises AssertionError: if there would be a single transition, which cannot be normalised (as in SB3)
    """
    buffer_size = (n_envs or 1) * n_steps
    if n_envs is not None and buffer_size == 1 and normalize:
        raise ArgumentAssertionError(
            f"`n_steps * n_envs` must be greater than 1. Currently n_steps={n_steps} and n_envs={n_envs}"
        )
    if batch_size is None:
        return max(min(64, buffer_size), buffer_size // 4, n_learners)
    if batch_size <= 1 and normalize:
        raise ArgumentAssertionError("`batch_size` must be greater than 1, or its advantages cannot be normalised")
    if batch_size < n_learners:
        raise ArgumentError(
            f"`batch_size` must be at least the number of learners, one transition each: "
            f"batch_size={batch_size}, {n_learners} learners"
        )
    share, per_learner = batch_size // n_learners, buffer_size // n_learners
    last = per_learner % share * n_learners
    if n_envs is not None and batch_size < buffer_size and last:
        warn(
            f"a mini-batch size of {batch_size} does not divide the rollout buffer of `n_steps * n_envs = {buffer_size}` "
            f"transitions: after every {per_learner // share} untruncated mini-batches, "
            f"there will be a truncated mini-batch of size {last}"
        )
    return batch_size


def takes_argument(function: Callable[..., object], name: str) -> bool:
    """Whether a function can be called with an argument of that name."""
    parameters = inspect.signature(function).parameters
    return name in parameters or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
