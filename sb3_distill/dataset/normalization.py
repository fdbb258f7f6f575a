"""Statistics that normalise observations."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Statistics = npt.NDArray[np.float64] | dict[str, npt.NDArray[np.float64]]


@dataclass
class Normalization:
    """
    The frozen statistics of a ``VecNormalize``: observations are ``scale * clip((x - mean) / sqrt(var + epsilon))``.

    :param mean: of the observations, or one array per key
    :param var: variance, likewise
    :param clip: bound of the result
    :param epsilon: avoids division by zero
    :param scale: learned weights of the observations, of the same shape; ``None`` for no weights, and always for a dict
    """

    mean: Statistics
    var: Statistics
    clip: float = 10.0
    epsilon: float = 1e-8
    scale: npt.NDArray[np.float32] | None = None

    def __call__(self, observations: Any) -> Any:
        """Raw observations to normalised ones (float32), for an array or a dict of arrays."""
        if isinstance(self.mean, dict):
            assert isinstance(self.var, dict)
            normalized = {key: self._apply(observations[key], self.mean[key], self.var[key]) for key in self.mean}
            return {**observations, **normalized}
        return self._apply(observations, self.mean, self.var)

    def folded(self) -> "Normalization":
        """The same with the scale put into the variance, as a ``VecNormalize`` needs it: clipping then comes after it."""
        if self.scale is None:
            return self
        return Normalization(self.mean, (np.asarray(self.var) + self.epsilon) / self.scale**2, self.clip, 0.0)

    def _apply(self, x: Any, mean: Any, var: Any) -> npt.NDArray[np.float32]:
        scaled = (np.asarray(x) - mean) / np.sqrt(var + self.epsilon)
        normalized: npt.NDArray[np.float32] = np.clip(scaled, -self.clip, self.clip).astype(np.float32)
        return normalized if self.scale is None else normalized * self.scale
