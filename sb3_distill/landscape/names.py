"""Names of networks, objectives and directions, and what may be asked for."""

from typing import Literal, TypeAlias, get_args

import numpy as np
from gymnasium import spaces

from sb3_distill.errors import ArgumentError
from sb3_distill.landscape.maths.objectives import Loss, mse, profiled
from sb3_distill.typing import Space

Objective: TypeAlias = Literal["return", "surrogate", "mse", "profiled"]
"""What is drawn: the return is to be large, the losses small."""
Directions: TypeAlias = Literal["step-rl", "random", "pca", "hessian", "fisher"]
"""How the directions of a plane are chosen."""
LOSSES: dict[str, Loss] = {"mse": mse, "profiled": profiled}
INITIAL, TAUGHT, RL, OTHER_INITIAL, OTHER_TAUGHT, RANDOM_END = (
    "initial", "taught", "RL", "other initial", "other taught", "random end"
)  # fmt: skip
"""Names of networks: a learner before and after teaching, trained by RL from the same start, a learner of another
initialisation, and a random point as far from the start as the taught one."""
OTHER = 100_003
"""What is added to a seed for the other initialisation."""
ALPHAS = tuple(np.round(np.concatenate([[-0.2, 0, 0.01, 0.02, 0.05], np.arange(0.1, 1.51, 0.1), [2.0, 3.0]]), 3).tolist())
"""Places of a ray, denser near the start."""
ODD = ("Tanh", "Identity", "Hardtanh", "Softsign")
"""Activations with ``f(-x) = -f(x)``."""
SMALLEST = 3
"""Smallest size of a plane."""


def check_objective(objective: str, action_space: Space) -> None:
    """
    :param objective: name of an objective
    :param action_space: action space of the set
    :raises ValueError: if the objective is unknown, or does not fit the actions
    """
    if objective not in get_args(Objective):
        raise ArgumentError(f"unknown objective {objective!r}; known are {', '.join(get_args(Objective))}")
    if objective == "profiled" and isinstance(action_space, spaces.Box):
        raise ArgumentError(
            "the objective 'profiled' leaves out the scale of logits, and the labels of Box actions are actions, whose scale "
            "matters: use 'mse'"
        )


def check_size(size: object) -> None:
    """
    :param size: number of points along each side of a plane
    :raises ValueError: if it is below 3, or not whole
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < SMALLEST:
        raise ArgumentError(f"`size` of a plane must be at least {SMALLEST} and whole, got {size!r}")


def check_directions(directions: str, n_planes: object, has_rl: bool) -> None:
    """
    :param directions: how the directions of planes are chosen
    :param n_planes: number of planes
    :param has_rl: whether there is an RL-trained network
    :raises ValueError: for unknown directions, fewer than one plane, or directions that need RL where there is none
    """
    if directions not in get_args(Directions):
        raise ArgumentError(f"unknown `directions` {directions!r}; known are {', '.join(get_args(Directions))}")
    if isinstance(n_planes, bool) or not isinstance(n_planes, int) or n_planes < 1:
        raise ArgumentError(f"`n_planes` must be at least 1 and whole, got {n_planes!r}")
    if directions in ("step-rl", "pca") and not has_rl:
        raise ArgumentError(f"the directions {directions!r} need an RL-trained network: pass a model or timesteps as `rl`")
