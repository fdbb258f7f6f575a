"""What PPMO's arguments must satisfy."""

import inspect
import numbers
from collections.abc import Callable
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import FloatSchedule, LinearSchedule

from sb3_distill.dataset.start import DATASET_INITS
from sb3_distill.errors import ArgumentError
from sb3_distill.ppmo.buffers import LearnerRolloutBuffer

NUMBERS = ("gamma", "gae_lambda", "ent_coef", "vf_coef", "max_grad_norm", "weight_decay", "target_kl")
WHOLE_NUMBERS = ("n_steps", "batch_size", "n_epochs", "n_learners", "n_inner_steps", "n_updates", "buffer_size")
NOT_NEGATIVE = ("vf_coef", "max_grad_norm", "weight_decay")
AT_LEAST_ONE = ("n_steps", "n_epochs", "n_updates", "buffer_size")


def check_arguments(model: Any) -> None:
    """
    :param model: a ``PPMO`` that is being set up
    :raises ValueError: if an argument is of the wrong kind, or out of range
    :raises AssertionError: if ``clip_range_vf`` is not positive
    """
    for names, kind, word in ((NUMBERS, numbers.Real, "a number"), (WHOLE_NUMBERS, numbers.Integral, "a whole number")):
        for name in names:
            value = getattr(model, name, None)
            if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
                raise ArgumentError(
                    f"`{name}` must be {word}, got {value!r}; schedules are for learning rates and clip ranges"
                )
    for name in NOT_NEGATIVE:
        if float(value := getattr(model, name)) < 0:
            raise ArgumentError(f"`{name}` must not be negative, got {value}")
    for name in AT_LEAST_ONE:
        if int(value := getattr(model, name, 1)) < 1:
            raise ArgumentError(f"`{name}` must be at least 1, got {value}")
    clip_range, clip_range_vf = getattr(model, "clip_range", None), getattr(model, "clip_range_vf", None)
    if isinstance(clip_range, (int, float)) and not clip_range > 0:
        raise ArgumentError(f"`clip_range` must be positive, got {clip_range}")
    if isinstance(clip_range_vf, (int, float)):  # an AssertionError, as in SB3
        assert clip_range_vf > 0, f"`clip_range_vf` must be positive, or None, which deactivates it; got {clip_range_vf}"
    if model.dataset_init not in DATASET_INITS:
        raise ArgumentError(f"`dataset_init` must be one of {', '.join(DATASET_INITS)}, got {model.dataset_init!r}")
    _check_policy(model.policy_class, model.observation_space, list(model.policy_aliases))
    buffer = model.rollout_buffer_class
    if buffer is not None and not issubclass(buffer, LearnerRolloutBuffer):
        raise ArgumentError(
            f"`rollout_buffer_class` must derive from LearnerRolloutBuffer, which keeps the transitions of each learner "
            f"together; {buffer.__name__} does not. (A zip that names it was saved by another algorithm: "
            f"load it with that one)"
        )


def _check_policy(policy: Any, observation_space: spaces.Space[Any], known: list[str]) -> None:
    if not (inspect.isclass(policy) and issubclass(policy, BasePolicy)):
        raise ArgumentError(f"`policy` must be one of {', '.join(known)}, or an SB3 policy class, got {policy!r}")
    if issubclass(policy, MultiInputActorCriticPolicy) and not isinstance(observation_space, spaces.Dict):
        raise ArgumentError(
            f"MultiInputPolicy is for Dict observations, the environment has {observation_space}: use MlpPolicy or CnnPolicy"
        )


def schedule(rate: float | str | Schedule) -> Schedule:
    """A number, a function of the remaining progress, or ``"lin_x"``: from x to zero, as rl-zoo writes it."""
    if isinstance(rate, str):
        kind, _, start = rate.partition("_")
        try:
            if kind != "lin":
                raise ValueError
            return LinearSchedule(float(start), 0.0, 1.0)
        except ValueError:
            raise ArgumentError(f"a schedule must be written 'lin_<number>', got {rate!r}") from None
    return FloatSchedule(rate)


def takes_argument(function: Callable[..., Any], name: str) -> bool:
    """Whether a function can be called with an argument of that name."""
    parameters = inspect.signature(function).parameters
    return name in parameters or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
