"""Parameters of a network as one flat vector, and back."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch as th

from sb3_distill.typing import Params, Shape


@dataclass(frozen=True)
class Layout:
    """
    Where each parameter of a network lies in a flat vector of ``d`` numbers.

    :param shapes: shape of each parameter of one network, by name, in the order of the vector
    """

    shapes: Mapping[str, Shape]

    @classmethod
    def of(cls, params: Mapping[str, th.Tensor]) -> "Layout":
        """
        :param params: stacked parameters ``(M, *shape)`` by name
        :return: the layout of one of the M networks
        """
        return cls({name: tuple(value.shape[1:]) for name, value in params.items()})

    @property
    def n_numbers(self) -> int:
        """The length ``d`` of a vector."""
        return sum(th.Size(shape).numel() for shape in self.shapes.values())

    def flatten(self, params: Mapping[str, th.Tensor]) -> th.Tensor:
        """
        :param params: stacked parameters ``(M, *shape)`` by name
        :return: ``(M, d)``
        """
        return th.cat([params[name].flatten(1) for name in self.shapes], dim=1)

    def unflatten(self, vectors: th.Tensor) -> Params:
        """
        :param vectors: ``(M, d)``
        :return: stacked parameters ``(M, *shape)`` by name
        """
        parts = vectors.split([th.Size(shape).numel() for shape in self.shapes.values()], dim=1)
        return {name: part.unflatten(1, shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}
