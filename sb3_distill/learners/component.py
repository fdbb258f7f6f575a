"""One part of a mixture of learners: architecture and initialisation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import torch as th
from stable_baselines3.common.policies import BasePolicy

from sb3_distill.errors import ArgumentError
from sb3_distill.learners import initialization
from sb3_distill.learners.architecture import ACTIVATIONS, Architecture
from sb3_distill.networks.policy_kwargs import policy_kwargs_to_json
from sb3_distill.spaces.values import plain
from sb3_distill.typing import Json

Range: TypeAlias = int | Sequence[int]
Choice: TypeAlias = str | Sequence[str]
ComponentKind: TypeAlias = tuple[type[BasePolicy] | None, Mapping[str, object] | None]
"""Policy class and keyword arguments of a component."""


@dataclass(frozen=True)
class LearnerComponent:
    """
    One part of a mixture of learners.

    One of ``width``, ``depth``, ``activation`` and ``layer_norm`` is enough to replace the layers behind the features
    extractor by drawn layers; without any of them the network keeps its layers.

    :param policy: SB3 policy class; ``None`` for the policy of the model
    :param policy_kwargs: keyword arguments of the policy; ``None`` for those of the model
    :param init: initialisation, one of ``initialization.INITIALIZATIONS`` or a list to choose from; ``None`` for the
        initialisation of the policy (orthogonal, where layers are drawn)
    :param hidden_gain: gain of all layers but the last, for ``init``
    :param last_gain: gain of the last layer, for ``init``
    :param width: units of each hidden layer, or a range ``[low, high]`` that includes both ends
    :param depth: number of hidden layers, or a range
    :param activation: one of ``architecture.ACTIVATIONS``, or a list to choose from
    :param layer_norm: whether a layer norm precedes each activation, or the probability of that
    :param weight: relative frequency
    :raises ValueError: for an unknown name, an empty range, or a weight that is not positive
    """

    policy: type[BasePolicy] | None = None
    policy_kwargs: Mapping[str, object] | None = None
    init: Choice | None = None
    hidden_gain: float = 2**0.5
    last_gain: float = 0.01
    width: Range | None = None
    depth: Range | None = None
    activation: Choice | None = None
    layer_norm: bool | float | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("init", "hidden_gain", "last_gain", "width", "depth", "activation", "layer_norm", "weight"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        if self.policy is not None and not (isinstance(self.policy, type) and issubclass(self.policy, BasePolicy)):
            raise ArgumentError(
                f"the `policy` of a learner component must be an SB3 policy class, got {self.policy!r}; leave it out for the "
                "policy that the distribution is used with"
            )
        _check_choice("init", self.init, initialization.INITIALIZATIONS)
        _check_choice("activation", self.activation, tuple(ACTIVATIONS))
        _check_range("width", self.width)
        _check_range("depth", self.depth)
        norm = self.layer_norm
        if norm is not None and not (isinstance(norm, (bool, int, float)) and 0 <= norm <= 1):
            raise ArgumentError(f"`layer_norm` in `learner_distribution` must be a probability, got {self.layer_norm}")
        for name in ("hidden_gain", "last_gain", "weight"):
            if not (isinstance(value := getattr(self, name), (int, float)) and 0 < value < math.inf):
                raise ArgumentError(f"the `{name}` of a learner component must be positive, got {value!r}")

    @property
    def kind(self) -> ComponentKind:
        """Policy class and keyword arguments: components of one kind have networks of one shape, unless layers are drawn."""
        return self.policy, self.policy_kwargs

    @property
    def draws_layers(self) -> bool:
        """Whether the hidden layers are drawn."""
        return any(value is not None for value in (self.width, self.depth, self.activation, self.layer_norm))

    def draw_architecture(self, generator: th.Generator) -> Architecture | None:
        """
        :param generator: source of randomness (CPU)
        :return: hidden layers; ``None`` if the network keeps its layers
        """
        if not self.draws_layers:
            return None
        width = _draw_range(64 if self.width is None else self.width, generator)
        depth = _draw_range(2 if self.depth is None else self.depth, generator)
        activation = _draw_choice(self.activation or "tanh", generator)
        norm = bool(th.rand((), generator=generator) < float(self.layer_norm or 0.0))
        return Architecture(width, depth, activation, norm)

    def draw_init(self, generator: th.Generator) -> str | None:
        """
        :param generator: source of randomness (CPU)
        :return: name of an initialisation; ``None`` for that of the policy
        """
        if self.init is None:
            return "orthogonal" if self.draws_layers else None
        return _draw_choice(self.init, generator)

    def to_json(self) -> Json:
        """What differs from the defaults; classes and values that JSON cannot hold appear by name."""
        data = {key: value for key, value in asdict(self).items() if value != getattr(LearnerComponent, key, None)}
        if self.policy is not None:
            data["policy"] = self.policy.__name__
        if self.policy_kwargs is not None:
            as_json = policy_kwargs_to_json(dict(self.policy_kwargs))
            data["policy_kwargs"] = repr(dict(self.policy_kwargs)) if as_json is None else as_json
        return data


def _choices(value: Choice) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _draw_choice(value: Choice, generator: th.Generator) -> str:
    choices = _choices(value)
    return choices[0] if len(choices) == 1 else choices[int(th.randint(len(choices), (), generator=generator))]


def _check_choice(name: str, value: object, names: Sequence[str]) -> None:
    if value is None:
        return
    if isinstance(value, Mapping) or not isinstance(value, (str, Sequence)):
        raise ArgumentError(f"`{name}` in `learner_distribution` must be a name or a list of names, got {value!r}")
    if not (choices := _choices(value)):
        raise ArgumentError(f"`{name}` in `learner_distribution` is an empty list")
    for choice in choices:
        if choice not in names:
            raise ArgumentError(f"unknown {name} {choice!r} in `learner_distribution`; known are {', '.join(names)}")


def _check_range(name: str, value: object) -> None:
    if value is None:
        return
    ends = [value, value] if isinstance(value, int) else list(value) if isinstance(value, Sequence) else []
    if len(ends) != 2 or not all(isinstance(end, int) for end in ends) or not 1 <= ends[0] <= ends[1]:
        raise ArgumentError(
            f"`{name}` in `learner_distribution` must be a whole number from 1, or a range [low, high], got {value!r}"
        )


def _draw_range(value: Range, generator: th.Generator) -> int:
    low, high = (value, value) if isinstance(value, int) else value
    return low if low == high else int(th.randint(low, high + 1, (), generator=generator))
