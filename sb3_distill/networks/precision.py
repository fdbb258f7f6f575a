"""The precision, and the memory layout, in which networks see real observations."""

from contextlib import AbstractContextManager

import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, preprocess_obs

from sb3_distill.errors import ArgumentError
from sb3_distill.typing import Observations, Space

DTYPES = {"bfloat16": th.bfloat16}
"""Half precisions by name: those that need no scaling of gradients."""


class Precision:
    """
    :param name: a key of ``DTYPES``, or ``None`` for single precision
    :param device: device of the networks
    :raises ValueError: for another name
    """

    def __init__(self, name: str | None, device: th.device) -> None:
        if name is not None and name not in DTYPES:
            raise ArgumentError(f"`autocast_dtype` must be None or one of {', '.join(DTYPES)}, got {name!r}")
        self._dtype = None if name is None else DTYPES[name]
        self._device_type = device.type

    def __call__(self) -> AbstractContextManager[object]:
        """A context for forward passes; their results need a ``float()``."""
        return th.autocast(self._device_type, self._dtype, enabled=self._dtype is not None)

    def preprocess(self, observations: Observations, space: Space, normalize_images: bool) -> Observations:
        """
        SB3's ``preprocess_obs``. In half precision, bytes of images are converted at once, since every byte has a place in
        it, and get their channels last in memory, which is fast.
        """
        if isinstance(space, spaces.Dict):
            assert isinstance(observations, dict)
            parts = {key: self.preprocess(observations[key], space[key], normalize_images) for key in space.spaces}
            return {key: part for key, part in parts.items() if isinstance(part, th.Tensor)}
        assert isinstance(observations, th.Tensor)
        if self._dtype is not None and observations.dtype == th.uint8 and observations.dim() == 4:
            images = observations.to(self._dtype).contiguous(memory_format=th.channels_last)
            return images.div_(255) if normalize_images and is_image_space(space) else images
        return preprocess_obs(observations, space, normalize_images=normalize_images)
