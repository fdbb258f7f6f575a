"""In which precision, and in which memory layout, networks see real observations."""

from collections.abc import Mapping
from typing import Any

import torch as th

DTYPES = {"bfloat16": th.bfloat16}
"""What ``autocast_dtype`` may say: half precisions that need no scaling of gradients."""


class Precision:
    """
    :param name: a key of ``DTYPES``, or ``None`` for single precision
    :param device: of the networks
    :raises ValueError: for another name
    """

    def __init__(self, name: str | None, device: th.device) -> None:
        if name is not None and name not in DTYPES:
            raise ValueError(f"`autocast_dtype` must be None or one of {', '.join(DTYPES)}, got {name!r}")
        self._dtype = None if name is None else DTYPES[name]
        self._device_type = device.type

    def __call__(self) -> Any:
        """A context for forward passes; make their results ``float()``."""
        return th.autocast(self._device_type, self._dtype, enabled=self._dtype is not None)

    def arrange(self, observations: Any) -> Any:
        """Batches of images with their channels last in memory, which half precision is fast with; others as they are."""
        if self._dtype is None:
            return observations
        if isinstance(observations, Mapping):
            return {key: self.arrange(value) for key, value in observations.items()}
        return observations.contiguous(memory_format=th.channels_last) if observations.dim() == 4 else observations
