"""Statistics that normalise observations."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch as th

from sb3_distill.trees import map_leaves
from sb3_distill.typing import Array, Json, RawObservations

Statistic: TypeAlias = npt.NDArray[np.float64]
Statistics: TypeAlias = Statistic | dict[str, Statistic]
"""A mean or a variance, or one for each key of a ``Dict`` observation."""


class Normalization:
    """
    The frozen statistics of a ``VecNormalize``: observations become ``scale * clip((x - mean) / sqrt(var + epsilon))``.

    :param mean: mean of the observations, or one array per key
    :param var: variance, likewise
    :param clip: bound of the normalised observations
    :param epsilon: added to the variance, so that no division is by zero
    :param scale: learned weights of the observations, of the shape of ``mean``; ``None`` for no weights, and always for a dict
    """

    def __init__(
        self,
        mean: Statistics,
        var: Statistics,
        clip: float = 10.0,
        epsilon: float = 1e-8,
        scale: Array | None = None,
    ) -> None:
        self.mean = mean
        self.var = var
        self.clip = clip
        self.epsilon = epsilon
        self.log_scale = None if scale is None else th.as_tensor(scale).double().log().float()
        """Logarithm of ``scale``. A dataset puts its parameter here, so that there is one truth."""

    @property
    def scale(self) -> npt.NDArray[np.float32] | None:
        """Weights of the observations as they are now."""
        if self.log_scale is None:
            return None
        scale: npt.NDArray[np.float32] = self.log_scale.detach().exp().cpu().numpy()
        return scale

    def __call__(self, observations: RawObservations) -> RawObservations:
        """Raw observations to normalised ones (float32), for an array or a dict of arrays."""
        if isinstance(self.mean, dict):
            assert isinstance(self.var, dict) and isinstance(observations, dict)
            normalized = {key: self._apply(observations[key], self.mean[key], self.var[key]) for key in self.mean}
            return {**observations, **normalized}
        assert not isinstance(self.var, dict) and not isinstance(observations, dict)
        normalized_array = self._apply(observations, self.mean, self.var)  # type: ignore[arg-type]
        scale = self.scale
        return normalized_array if scale is None else normalized_array * scale

    def with_scale_in_variance(self) -> "Normalization":
        """The same with the scale put into the variance, as a ``VecNormalize`` needs it: clipping then comes after it."""
        scale = self.scale
        if scale is None:
            return self
        return Normalization(self.mean, (np.asarray(self.var) + self.epsilon) / scale**2, self.clip, 0.0)

    def _apply(self, x: Array, mean: Statistic, var: Statistic) -> npt.NDArray[np.float32]:
        scaled = (np.asarray(x) - mean) / np.sqrt(var + self.epsilon)
        normalized: npt.NDArray[np.float32] = np.clip(scaled, -self.clip, self.clip).astype(np.float32)
        return normalized

    @property
    def stored_scale(self) -> npt.NDArray[np.float64] | None:
        """``scale`` in double precision: from it the parameter comes back to the last bit."""
        return None if self.log_scale is None else self.log_scale.detach().cpu().double().exp().numpy()

    def __getstate__(self) -> Json:
        """Arrays and numbers, so that a model that was saved on a GPU opens on a CPU."""
        return {"mean": self.mean, "var": self.var, "clip": self.clip, "epsilon": self.epsilon, "scale": self.stored_scale}

    def __setstate__(self, state: Json) -> None:
        self.__init__(**state)  # type: ignore[misc]


def write_normalization(state: Mapping[str, object], normalization: Normalization | None) -> None:
    """
    :param state: what a module's ``state_dict`` returned; its metadata then say with which normalisation it has learned
    :param normalization: statistics of observations, without learned weights; ``None`` for raw observations
    """
    metadata = getattr(state, "_metadata", {})
    if "" not in metadata:
        return
    stored: Json | None = None
    if normalization is not None:  # tensors and numbers, which `torch.load(weights_only=True)` reads
        mean, var = (map_leaves(th.as_tensor, statistics) for statistics in (normalization.mean, normalization.var))
        stored = {"mean": mean, "var": var, "clip": float(normalization.clip), "epsilon": float(normalization.epsilon)}
    metadata[""]["normalization"] = stored


def normalization_in(state: Mapping[str, object]) -> tuple[bool, Normalization | None]:
    """
    :param state: a state, see ``write_normalization``
    :return: whether it says with which normalisation it has learned, and this
    """
    metadata: Json = getattr(state, "_metadata", {}).get("", {})
    if (stored := metadata.get("normalization")) is None:
        return "normalization" in metadata, None
    mean, var = (map_leaves(lambda value: value.cpu().numpy(), stored[name]) for name in ("mean", "var"))
    return True, Normalization(mean, var, stored["clip"], stored["epsilon"])
