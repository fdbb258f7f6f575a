"""Types that several rooms speak of, so that nobody needs to write ``Any``."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypeVar

import gymnasium as gym
import numpy.typing as npt
import torch as th
from gymnasium import spaces
from stable_baselines3.common.type_aliases import Schedule

Json: TypeAlias = dict[str, Any]
"""A JSON object."""
Array: TypeAlias = npt.NDArray[Any]
"""A NumPy array of any type."""
Space: TypeAlias = spaces.Space[Any]
"""A space of Gymnasium."""
Env: TypeAlias = gym.Env[Any, Any]
"""A single environment of Gymnasium."""
VectorEnv: TypeAlias = gym.vector.VectorEnv[Any, Any, Any]
"""A vector environment of Gymnasium."""
Info: TypeAlias = dict[str, Any]
"""What an environment says besides observations and rewards."""
Kwargs: TypeAlias = dict[str, Any]
"""Keyword arguments of a function whose signature is not known here."""

Shape: TypeAlias = tuple[int, ...]
Leaf = TypeVar("Leaf", th.Tensor, Array, Shape)
Tree: TypeAlias = Leaf | Mapping[str, Leaf]
"""A leaf, or one for each key of a ``Dict`` observation; ``sb3_distill.trees`` has the functions."""
Observations: TypeAlias = th.Tensor | Mapping[str, th.Tensor]
"""Observations as a network sees them: a tensor, or one for each key."""
RawObservations: TypeAlias = Array | Mapping[str, Array]
"""Observations as an environment gives them: an array, or one for each key."""

Params: TypeAlias = dict[str, th.Tensor]
"""Parameters of M networks of one shape by name, each stacked to ``(M, *shape)``."""

Rate: TypeAlias = float | str | Schedule
"""A step size: a number, a function of the remaining progress (1 to 0), or ``"lin_x"``, from x to zero."""

InnerLoopName: TypeAlias = Literal["sgd", "ridge", "carry"]
"""Kinds of inner learning."""
DatasetInit: TypeAlias = Literal["normal", "observations"]
"""How synthetic observations start."""
Normalize: TypeAlias = bool | Literal["observations", "rewards"]
"""What a model normalises by itself; ``True`` is both."""
AutocastDtype: TypeAlias = Literal["bfloat16"]
"""Half precisions that need no scaling of gradients."""
