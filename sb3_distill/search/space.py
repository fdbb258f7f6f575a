"""Spaces of architectures."""

import json
import math
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from sb3_distill.errors import ArgumentError
from sb3_distill.learners.architecture import ACTIVATIONS
from sb3_distill.learners.initialization import INITIALIZATIONS
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.spaces.values import plain
from sb3_distill.typing import Json

Numbers: TypeAlias = float | Sequence[float] | Mapping[str, float]
"""One number, a list to choose from, or a range ``{"low": 8, "high": 256}`` (drawn from its logarithm)."""
Names: TypeAlias = str | bool | Sequence[str] | Sequence[bool]
"""One value, or a list to choose from."""
OTHERS = [name for name in ACTIVATIONS if name != "identity"]
SPACES: dict[str, Json] = {
    "mlp": {
        "width": {"low": 8, "high": 256}, "depth": [1, 2, 3, 4, 6], "activation": OTHERS, "layer_norm": [False, True],
        "init": ["orthogonal", "pytorch", "xavier_normal"],
    },
    "cnn": {
        "width": {"low": 64, "high": 512}, "depth": 1, "activation": OTHERS, "init": ["orthogonal", "pytorch"],
        "n_convolutions": [1, 2, 3], "channels": {"low": 8, "high": 64}, "kernel": [3, 4, 5], "stride": [1, 2],
    },
}  # fmt: skip
"""Spaces by name: perceptrons, and convolutions with a dense layer."""


class Trial(Protocol):
    """What draws values: a trial of Optuna, or ``RandomTrial``."""

    def suggest_categorical(self, name: str, choices: Sequence[bool | int | float | str | None]) -> object: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float: ...


class RandomTrial:
    """
    Draws every value at random, without Optuna.

    :param rng: source of randomness
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def suggest_categorical(self, name: str, choices: Sequence[bool | int | float | str | None]) -> object:
        return self.rng.choice(choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        if not log:
            return self.rng.randrange(low, high + 1, step)
        return min(max(round(math.exp(self.rng.uniform(math.log(low - 0.5), math.log(high + 0.5)))), low), high)

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        return math.exp(self.rng.uniform(math.log(low), math.log(high))) if log else self.rng.uniform(low, high)


@dataclass(frozen=True)
class SearchSpace:
    """
    What a search may choose. A part that is one value is fixed.

    :param width: units of a hidden layer
    :param depth: number of hidden layers
    :param activation: keys of ``ACTIVATIONS``
    :param layer_norm: whether a layer norm precedes each activation
    :param init: initialisations
    :param hidden_gain: gain of all layers but the last
    :param last_gain: gain of the actor's last layer
    :param learning_rate: learning rate of RL; ``None`` leaves it to the evaluator
    :param n_convolutions: number of convolutions, for images
    :param channels: output channels of a convolution
    :param kernel: side of its kernel
    :param stride: its stride
    :param per_layer: whether widths, channels, kernels and strides are drawn for every layer, or once
    :raises ValueError: for a part that is empty or of another kind, or a space with nothing to choose
    """

    width: Numbers = 64
    depth: Numbers = 2
    activation: Names = "tanh"
    layer_norm: Names = False
    init: Names = "orthogonal"
    hidden_gain: Numbers = 2**0.5
    last_gain: Numbers = 0.01
    learning_rate: Numbers | None = None
    n_convolutions: Numbers = 0
    channels: Numbers = 32
    kernel: Numbers = 3
    stride: Numbers = 1
    per_layer: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, plain(getattr(self, field.name)))
        for name in (*WHOLE, *REAL):
            if not (name == "learning_rate" and self.learning_rate is None):
                _check_numbers(name, getattr(self, name), name in WHOLE)
        for name, known in NAMED.items():
            choices = _listed(value := getattr(self, name))
            if not choices or not all(type(choice) is type(known[0]) and choice in known for choice in choices):
                names = ", ".join(map(str, known))
                raise ArgumentError(f"`{name}` of a search space must be one of {names}, or a list of such, got {value!r}")
        if not isinstance(self.per_layer, bool):
            raise ArgumentError(f"`per_layer` of a search space must be true or false, got {self.per_layer!r}")
        if not any(_is_choice(getattr(self, name)) for name in (*WHOLE, *REAL, *NAMED)):
            raise ArgumentError(
                "the search space has nothing to choose: give a list or a range {\"low\": .., \"high\": ..} for one of "
                f"{', '.join((*WHOLE, *REAL, *NAMED))}"
            )  # fmt: skip

    @classmethod
    def parse(cls, space: "str | os.PathLike[str] | Mapping[str, object] | SearchSpace") -> "SearchSpace":
        """
        :param space: a key of ``SPACES``, the path of a JSON file, an object of fields, or a space
        :return: the space
        :raises ValueError: for another name, a file that is no JSON object, an unknown field, and see the class
        """
        if isinstance(space, SearchSpace):
            return space
        if isinstance(space, Mapping):
            data: object = dict(space)
        elif str(space) in SPACES:
            data = SPACES[str(space)]
        elif str(space).endswith(".json") and Path(space).is_file():
            try:
                data = json.loads(Path(space).read_text())
            except ValueError as error:
                raise ArgumentError(f"{space} is not a JSON file: {error}") from error
        else:
            raise ArgumentError(
                f"unknown search space {str(space)!r}; known are {', '.join(SPACES)}, or the path of a JSON file"
            )
        known = [field.name for field in fields(cls)]
        if not isinstance(data, dict) or (unknown := set(data) - set(known)):
            found = f"unknown field {min(map(str, unknown))!r} in" if isinstance(data, dict) else "no object in"
            raise ArgumentError(f"{found} the search space {str(space)[:100]}; fields are {', '.join(known)}")
        return cls(**data)

    def suggest(self, trial: Trial) -> PolicyArchitecture:
        """
        :param trial: draws the values
        :return: an architecture
        """

        def number(name: str, label: str) -> float:
            value = getattr(self, name)
            if not isinstance(value, Mapping):
                return float(choice(name, label))  # type: ignore[arg-type]
            if name in WHOLE:
                return trial.suggest_int(label, int(value["low"]), int(value["high"]), log=True)
            return trial.suggest_float(label, value["low"], value["high"], log=True)

        def choice(name: str, label: str) -> object:
            choices = _listed(getattr(self, name))
            return choices[0] if len(choices) == 1 else trial.suggest_categorical(label, choices)

        def layers(name: str, n: int) -> list[int]:
            labels = [f"{name}_{i}" for i in range(n)] if self.per_layer else [name] * min(n, 1)
            drawn = [int(number(name, label)) for label in labels]
            return drawn if self.per_layer else drawn * n

        depth, n_convolutions = (int(number(name, name)) for name in ("depth", "n_convolutions"))
        convolutions = zip(*(layers(name, n_convolutions) for name in ("channels", "kernel", "stride")), strict=True)
        return PolicyArchitecture.of(
            {
                "widths": layers("width", depth),
                **{name: choice(name, name) for name in NAMED},
                **{name: number(name, name) for name in ("hidden_gain", "last_gain")},
                "convolutions": list(convolutions),
                "learning_rate": None if self.learning_rate is None else number("learning_rate", "learning_rate"),
            }
        )

    def draw(self, n: int, seed: int = 0) -> list[PolicyArchitecture]:
        """
        :param n: number of architectures
        :param seed: seed of the draw
        :return: different architectures, at random
        :raises ValueError: if the space has fewer
        """
        rng, drawn = random.Random(seed), dict[str, PolicyArchitecture]()
        for _ in range(100 * n + 1000):
            if len(drawn) == n:
                return list(drawn.values())
            architecture = self.suggest(RandomTrial(rng))
            drawn.setdefault(architecture.key, architecture)
        raise ArgumentError(f"the search space has only {len(drawn)} architectures, or few more; {n} were asked for")

    @property
    def n_choices(self) -> float:
        """Number of combinations of values; infinite where a range of numbers that are not whole is among them."""
        total = 1.0
        for name in (*WHOLE, *REAL, *NAMED):
            value = getattr(self, name)
            if isinstance(value, Mapping):
                total *= value["high"] - value["low"] + 1 if name in WHOLE else math.inf
            else:
                total *= len(_listed(value))
        return total

    def to_json(self) -> Json:
        """All fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def key(self) -> str:
        """Canonical text: spaces are equal if and only if their keys are."""
        return json.dumps(self.to_json(), sort_keys=True)


WHOLE = ("width", "depth", "n_convolutions", "channels", "kernel", "stride")
"""Parts whose numbers are whole."""
REAL = ("hidden_gain", "last_gain", "learning_rate")
"""Parts whose numbers are not."""
NAMED: dict[str, Sequence[object]] = {
    "activation": tuple(ACTIVATIONS), "layer_norm": (False, True), "init": INITIALIZATIONS
}  # fmt: skip
"""Parts that are no numbers, and their values."""


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _is_choice(value: object) -> bool:
    return value["low"] < value["high"] if isinstance(value, Mapping) else len(set(map(str, _listed(value)))) > 1


def _check_numbers(name: str, value: object, is_whole: bool) -> None:
    is_range = isinstance(value, Mapping) and set(value) == {"low", "high"}
    numbers = [value["low"], value["high"]] if isinstance(value, Mapping) and is_range else _listed(value)
    least = 0 if name == "n_convolutions" and not is_range else 1
    kind = int if is_whole else (int, float)
    fits = [
        isinstance(n, kind) and not isinstance(n, bool) and (n >= least if is_whole else 0 < n < math.inf) for n in numbers
    ]
    if not numbers or not all(fits) or (is_range and bool(numbers[0] > numbers[1])):
        what = f"whole numbers from {least}" if is_whole else "positive numbers"
        raise ArgumentError(
            f"`{name}` of a search space must be one of {what}, a list of such, or a range {{\"low\": .., \"high\": ..}}, "
            f"got {value!r}"
        )  # fmt: skip
