"""One part of a mixture of learners: architecture and initialisation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch as th
from stable_baselines3.common.policies import BasePolicy

from sb3_distill.errors import ArgumentError
from sb3_distill.learners import initialization
from sb3_distill.learners.architecture import ACTIVATIONS, Architecture
from sb3_distill.networks.policy_kwargs import policy_kwargs_to_json

Range = int | Sequence[int]
Choice = str | Sequence[str]


@dataclass(frozen=True)
class LearnerComponent:
    """
    One part of a mixture of learners.

    Where ``width``, ``depth``, ``activation`` or ``layer_norm`` is given, the layers behind the policy's features extractor
    are drawn accordingly; else the policy's own are taken.

    :param policy: SB3 policy class; ``None`` for the one that the distribution is used with
    :param policy_kwargs: its keyword arguments; ``None`` for those that the distribution is used with
    :param init: initialisation, one of ``initialization.INITIALIZATIONS`` or a list to choose from; ``None`` for the
        policy's own (orthogonal, where layers are drawn)
    :param hidden_gain: gain of all layers but the last, for ``init``
    :param last_gain: gain of the last layer, for ``init``
    :param width: units of each hidden layer, or a range ``[low, high]``, both included
    :param depth: number of hidden layers, or a range
    :param activation: one of ``architecture.ACTIVATIONS``, or a list to choose from
    :param layer_norm: whether a layer norm precedes each activation, or the probability of that
    :param weight: relative frequency
    :raises ValueError: for an unknown name, an empty range, or a weight that is not positive
    """

    policy: type[BasePolicy] | None = None
    policy_kwargs: Mapping[str, Any] | None = None
    init: Choice | None = None
    hidden_gain: float = 2**0.5
    last_gain: float = 0.01
    width: Range | None = None
    depth: Range | None = None
    activation: Choice | None = None
    layer_norm: bool | float | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.policy is not None and not (isinstance(self.policy, type) and issubclass(self.policy, BasePolicy)):
            raise ArgumentError(
                f"the `policy` of a learner component must be an SB3 policy class, got {self.policy!r}; leave it out for the "
                "policy that the distribution is used with"
            )
        for name, known in (("init", initialization.INITIALIZATIONS), ("activation", tuple(ACTIVATIONS))):
            given = getattr(self, name)
            if given is not None and (isinstance(given, Mapping) or not isinstance(given, (str, Sequence))):
                raise ArgumentError(f"`{name}` in `learner_distribution` must be a name or a list of names, got {given!r}")
            if given is not None and not _choices(given):
                raise ArgumentError(f"`{name}` in `learner_distribution` is an empty list")
            for choice in _choices(given) if given is not None else ():
                if choice not in known:
                    raise ArgumentError(f"unknown {name} {choice!r} in `learner_distribution`; known are {', '.join(known)}")
        for name in ("width", "depth"):
            if (given := getattr(self, name)) is not None:
                _check_range(name, given)
        norm = self.layer_norm
        if norm is not None and not (isinstance(norm, (bool, int, float)) and 0 <= norm <= 1):
            raise ArgumentError(f"`layer_norm` in `learner_distribution` must be a probability, got {self.layer_norm}")
        for name in ("hidden_gain", "last_gain", "weight"):
            if not (isinstance(value := getattr(self, name), (int, float)) and 0 < value < math.inf):
                raise ArgumentError(f"the `{name}` of a learner component must be positive, got {value!r}")

    @property
    def draws_layers(self) -> bool:
        """Whether the layers are drawn instead of being the policy's own."""
        return any(value is not None for value in (self.width, self.depth, self.activation, self.layer_norm))

    def draw_architecture(self, generator: th.Generator) -> Architecture | None:
        """
        :param generator: source of randomness (CPU)
        :return: hidden layers; ``None`` for the policy's own
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
        :return: name of an initialisation; ``None`` for the policy's own
        """
        if self.init is None:
            return "orthogonal" if self.draws_layers else None
        return _draw_choice(self.init, generator)

    def to_json(self) -> dict[str, Any]:
        """What differs from the defaults; classes and values that JSON cannot hold are given by name."""
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


def _bounds(value: Range) -> tuple[int, int]:
    low, high = (value, value) if isinstance(value, int) else value
    return low, high


def _check_range(name: str, value: Any) -> None:
    is_range = isinstance(value, Sequence) and len(value) == 2 and all(isinstance(end, int) for end in value)
    if not (isinstance(value, int) or is_range) or _bounds(value)[0] < 1 or _bounds(value)[1] < _bounds(value)[0]:
        raise ArgumentError(
            f"`{name}` in `learner_distribution` must be a whole number from 1, or a range [low, high], got {value!r}"
        )


def _draw_range(value: Range, generator: th.Generator) -> int:
    low, high = _bounds(value)
    return low if low == high else int(th.randint(low, high + 1, (), generator=generator))
