"""The architecture of a policy, as a search draws it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple

from torch import nn

from sb3_distill.errors import ArgumentError
from sb3_distill.learners.architecture import ACTIVATIONS, hidden_layers
from sb3_distill.learners.initialization import INITIALIZATIONS, PYTORCH
from sb3_distill.spaces.values import plain
from sb3_distill.typing import Json

HIDDEN_GAIN, LAST_GAIN = 1.41421, 0.01
"""Gains of SB3's policies."""


class Convolution(NamedTuple):
    """
    One convolution of a network that sees images, without padding.

    :param channels: output channels
    :param kernel: side of the square kernel, in pixels
    :param stride: stride, in pixels
    """

    channels: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class PolicyArchitecture:
    """
    Layers and initialisation of a policy; actor and critic have the same. Convolutions are shared by both, as in SB3.

    :param widths: units of each hidden layer; for images of the dense layers behind the convolutions
    :param activation: a key of ``learners.architecture.ACTIVATIONS``
    :param layer_norm: whether a layer norm precedes each activation of the hidden layers
    :param init: one of ``learners.initialization.INITIALIZATIONS``
    :param hidden_gain: gain of all layers but the last; without effect for ``"pytorch"``
    :param last_gain: gain of the actor's last layer (the critic's is 1, as in SB3); without effect for ``"pytorch"``
    :param convolutions: for images, channels, kernel and stride of each; empty for vectors
    :param learning_rate: learning rate of RL, where it is part of the search; ``None`` for that of the evaluator
    :raises ValueError: for an unknown name, a size below 1, or a gain or learning rate that is not positive
    """

    widths: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    layer_norm: bool = False
    init: str = "orthogonal"
    hidden_gain: float = HIDDEN_GAIN
    last_gain: float = LAST_GAIN
    convolutions: tuple[Convolution, ...] = ()
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        for field in fields(self):
            set_(self, field.name, plain(getattr(self, field.name)))
        sizes = [self.widths, *self.convolutions] if isinstance(self.convolutions, Sequence) else [None]
        if not self.widths or not all(_are_sizes(part) for part in sizes) or any(len(c) != 3 for c in self.convolutions):
            raise ArgumentError(
                "`widths` of an architecture must be whole numbers from 1, and `convolutions` triples (channels, kernel, "
                f"stride) of such, got {self.widths!r} and {self.convolutions!r}"
            )
        set_(self, "widths", tuple(self.widths))
        set_(self, "convolutions", tuple(Convolution(*part) for part in self.convolutions))
        for name, known in (("activation", tuple(ACTIVATIONS)), ("init", INITIALIZATIONS)):
            if (value := getattr(self, name)) not in known:
                raise ArgumentError(f"unknown `{name}` {value!r} of an architecture; known are {', '.join(known)}")
        if not isinstance(self.layer_norm, bool):
            raise ArgumentError(f"`layer_norm` of an architecture must be true or false, got {self.layer_norm!r}")
        for name in ("hidden_gain", "last_gain", "learning_rate"):
            value = getattr(self, name)
            if value is None and name == "learning_rate":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ArgumentError(f"`{name}` of an architecture must be positive, got {value!r}")
            set_(self, name, float(f"{value:.6g}"))  # so that a key does not depend on how a number was written
        if self.init == PYTORCH:  # so that networks that are equal have equal keys
            set_(self, "hidden_gain", HIDDEN_GAIN)
            set_(self, "last_gain", LAST_GAIN)

    @property
    def key(self) -> str:
        """Canonical text: architectures are equal if and only if their keys are."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))

    def rate(self, default: float) -> float:
        """
        :param default: learning rate of an evaluator
        :return: the architecture's where it has one, else the default
        """
        return default if self.learning_rate is None else self.learning_rate

    def __str__(self) -> str:
        alike = len(set(self.widths)) == 1
        layers = f"{len(self.widths)}x{self.widths[0]}" if alike else "-".join(map(str, self.widths))
        convolutions = " ".join(f"{c.channels}@{c.kernel}/{c.stride}" for c in self.convolutions)
        gains = "" if self.init == PYTORCH else f" {self.hidden_gain:.3g}/{self.last_gain:.3g}"
        rate = "" if self.learning_rate is None else f", rate {self.learning_rate:.2g}"
        parts = [convolutions, layers, self.activation, "norm" if self.layer_norm else "", f"{self.init}{gains}{rate}"]
        return " ".join(part for part in parts if part)

    def to_json(self) -> Json:
        """All fields."""
        return {**asdict(self), "widths": list(self.widths), "convolutions": [list(part) for part in self.convolutions]}

    @classmethod
    def of(cls, value: "PolicyArchitecture | Mapping[str, object]") -> "PolicyArchitecture":
        """
        :param value: an architecture, or its JSON form
        :return: the architecture
        :raises ValueError: for a field that there is not, and see the class
        """
        if isinstance(value, PolicyArchitecture):
            return value
        if not isinstance(value, Mapping):
            raise ArgumentError(f"an architecture must be a `PolicyArchitecture` or an object of its fields, got {value!r}")
        known = [field.name for field in fields(cls)]
        if unknown := set(value) - set(known):
            raise ArgumentError(f"unknown field {min(map(str, unknown))!r} of an architecture; known are {', '.join(known)}")
        return cls(**value)  # type: ignore[arg-type]

    def hidden_layers(self, n_inputs: int) -> nn.Sequential:
        """
        :param n_inputs: width of the features
        :return: the hidden layers, as PyTorch initialises them
        """
        return hidden_layers(n_inputs, self.widths, self.activation, self.layer_norm)

    def image_layers(self, n_channels: int) -> nn.Sequential:
        """
        :param n_channels: channels of the image
        :return: the convolutions with their activations, and a flattening
        """
        layers: list[nn.Module] = []
        for channels, kernel, stride in self.convolutions:
            layers += [nn.Conv2d(n_channels, channels, kernel, stride), ACTIVATIONS[self.activation]()]
            n_channels = channels
        return nn.Sequential(*layers, nn.Flatten())


def _are_sizes(values: object) -> bool:
    is_list = isinstance(values, Sequence) and not isinstance(values, str)
    return is_list and all(isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in values)  # type: ignore[attr-defined]
