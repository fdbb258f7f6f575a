"""Numbers that follow from spaces and environments where the user leaves them open."""

from gymnasium import spaces

from sb3_distill.errors import ArgumentError, warn
from sb3_distill.spaces.sizes import min_instances, n_classes, n_outputs, n_states
from sb3_distill.typing import Space

MAX_LEARNERS = 8
BOX_RATE = 0.6
"""Initial inner rate per dimension of continuous actions: the loss of a learner is a mean over all of them."""
BOX_INSTANCES = 64
"""Instances for continuous actions, as in the paper."""
FEW_INSTANCES, MANY_INSTANCES = 16, 64
"""Bounds of the instances that are chosen for discrete actions."""
SMALLEST_ROLLOUT = 1024
"""Transitions of a rollout, at least: fewer tell the advantages of rare rewards from noise too seldom."""
DISCRETE_ENTROPY = 0.01
"""Weight of the entropy of discrete actions: where rewards are rare, the noise of the critic would decide for one of them."""


def resolve_n_learners(n_learners: int | None, n_envs: int | None) -> int:
    """
    :param n_learners: the argument; ``None`` for the largest divisor of ``n_envs`` up to 8
    :param n_envs: number of environments; ``None`` without an environment
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


def resolve_n_instances(n_instances: int | None, observation_space: Space, action_space: Space) -> int:
    """
    :param n_instances: the argument; ``None`` for 64 for a ``Box`` of actions; for discrete ones as many as there are states,
        but at least ``FEW_INSTANCES`` (or one per class, where several choices are made at once) and at most
        ``MANY_INSTANCES``. The minimum of Eq. 3 is enough, but is learned less reliably
    :param observation_space: observation space of the environment
    :param action_space: action space of the environment
    :return: number of synthetic instances, ``k``
    :raises ValueError: if there are none
    """
    discrete = not isinstance(action_space, spaces.Box)
    if n_instances is None:
        if not discrete:
            return BOX_INSTANCES
        n_needed = min_instances(action_space) if isinstance(action_space, spaces.Discrete) else n_classes(action_space)
        return max(n_needed, FEW_INSTANCES, min(n_states(observation_space), MANY_INSTANCES))
    if isinstance(n_instances, bool) or not isinstance(n_instances, int) or n_instances < 1:
        raise ArgumentError(f"`n_instances` must be at least 1 and whole, got {n_instances!r}")
    if discrete and n_instances < (k_min := min_instances(action_space)):
        warn(
            f"n_instances={n_instances} is below the {k_min} that Eq. 3 of the paper, ceil(c / 2) + 1, expects to be needed "
            f"for {action_space}"
        )
    return n_instances


def resolve_n_steps(n_steps: int | None, n_envs: int) -> int:
    """
    :param n_steps: the argument; ``None`` for 128, or as many as make a rollout of ``SMALLEST_ROLLOUT`` transitions
    :param n_envs: number of environments
    :return: steps of each environment in a rollout
    """
    return max(128, -(-SMALLEST_ROLLOUT // n_envs)) if n_steps is None else n_steps


def resolve_ent_coef(ent_coef: float | None, action_space: Space) -> float:
    """
    :param ent_coef: the argument; ``None`` for ``DISCRETE_ENTROPY``, or 0 for a ``Box``
    :param action_space: action space of the environment
    :return: weight of the entropy in the loss
    """
    if ent_coef is not None:
        return ent_coef
    return 0.0 if isinstance(action_space, spaces.Box) else DISCRETE_ENTROPY


def default_inner_rate(action_space: Space, relative: bool) -> float:
    """
    :param action_space: action space of the environment
    :param relative: whether the rate is relative to the size of the features
    :return: where the learned rate of the gradient steps starts: 1, or ``BOX_RATE`` per action dimension; relative rates start
        where one step makes up for most of a common error of all instances
    """
    if relative:
        return 0.5 * n_outputs(action_space)
    return BOX_RATE * n_outputs(action_space) if isinstance(action_space, spaces.Box) else 1.0
