"""The networks of a landscape that have names."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy

from sb3_distill.environments.foreign.hand_over import EnvSource
from sb3_distill.errors import MisfitError, NotFiniteError
from sb3_distill.landscape.names import INITIAL, OTHER, OTHER_INITIAL, OTHER_TAUGHT, RANDOM_END, TAUGHT
from sb3_distill.landscape.points.shape import Shape, parameters_of
from sb3_distill.landscape.points.training import train_from
from sb3_distill.spaces.checks import describe
from sb3_distill.teaching.teach import build_policy

Trained: TypeAlias = BaseAlgorithm | BasePolicy | int | th.Tensor
"""Timesteps of RL from the same start, a trained model or policy, or a path of parameters ``(T, d)``."""


def initial_point(shape: Shape, policy_class: type[BasePolicy], kwargs: Mapping[str, Any], seed: int) -> th.Tensor:
    """
    :param shape: networks of one shape
    :param policy_class: class of their policies
    :param kwargs: its arguments
    :param seed: seed of the initialisation
    :return: the parameters that ``DistilledPolicy.from_dataset`` teaches with this seed ``(d,)``
    """
    return parameters_of(shape, build_policy(policy_class, shape.dataset, kwargs, seed))[0]


def named_points(shape: Shape, policy_class: type[BasePolicy], kwargs: Mapping[str, Any], seed: int) -> dict[str, th.Tensor]:
    """
    :param shape: networks of one shape
    :param policy_class: class of their policies
    :param kwargs: its arguments
    :param seed: seed of the learner
    :return: parameters ``(d,)`` of the networks that need no RL, by name
    """
    starts = th.stack([initial_point(shape, policy_class, kwargs, start) for start in (seed, seed + OTHER)])
    taught = shape.teach(starts)
    generator = th.Generator()
    generator.manual_seed(seed)
    offset = th.randn(shape.layout.n_numbers, generator=generator).to(starts)
    away = starts[0] + offset / offset.norm() * (taught[0] - starts[0]).norm()
    named = {INITIAL: starts[0], TAUGHT: taught[0], OTHER_INITIAL: starts[1], OTHER_TAUGHT: taught[1]}
    return {**named, RANDOM_END: away}


def path_of(
    rl: Trained | None,
    shape: Shape,
    initial: th.Tensor,
    seed: int,
    policy_class: type[BasePolicy],
    kwargs: Mapping[str, Any],
    env: EnvSource | None,
    settings: Mapping[str, Any] | None,
    progress: Callable[[int], object] | None,
) -> th.Tensor | None:
    """
    :param rl: what RL there is
    :param shape: networks of one shape
    :param initial: parameters that RL starts with ``(d,)``
    :return: parameters along the training ``(T, d)``, of a trained model its end alone; ``None`` without RL. The other
        parameters are those of ``train_from``
    """
    if rl is None or isinstance(rl, th.Tensor):
        return rl
    if isinstance(rl, (int, np.integer)):
        return train_from(shape, initial, int(rl), seed, policy_class, dict(kwargs), env, dict(settings or {}), progress)
    return parameters_of_model(shape, rl).unsqueeze(0)


def parameters_of_model(shape: Shape, model: BaseAlgorithm | BasePolicy) -> th.Tensor:
    """
    :param shape: networks of one shape
    :param model: an RL-trained model or policy
    :return: parameters of its actor ``(d,)``
    :raises DatasetError: if its spaces or layers are not those of the dataset
    :raises FloatingPointError: if its parameters are not finite
    """
    policy = model.policy if isinstance(model, BaseAlgorithm) else model
    for kind in ("observation", "action"):
        ours, theirs = (getattr(holder, f"{kind}_space") for holder in (shape.dataset.info, policy))
        if ours != theirs:
            raise MisfitError(
                f"the RL-trained model has the {kind} space {describe(theirs)}, the set was made for {describe(ours)}: train "
                "one in the environment of the set"
            )
    point = parameters_of(shape, policy)[0]
    if not bool(point.isfinite().all()):
        raise NotFiniteError("the parameters of the RL-trained model are NaN or infinite: its training diverged")
    return point
