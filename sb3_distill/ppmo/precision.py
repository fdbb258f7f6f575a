"""In which precision, and in which memory layout, networks see real observations."""

from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, preprocess_obs

from sb3_distill.errors import ArgumentError

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
            raise ArgumentError(f"`autocast_dtype` must be None or one of {', '.join(DTYPES)}, got {name!r}")
        self._dtype = None if name is None else DTYPES[name]
        self._device_type = device.type

    def __call__(self) -> Any:
        """A context for forward passes; make their results ``float()``."""
        return th.autocast(self._device_type, self._dtype, enabled=self._dtype is not None)

    def preprocess(self, observations: Any, space: spaces.Space[Any], normalize_images: bool) -> Any:
        """
        SB3's ``preprocess_obs``; in half precision, bytes of images go there at once (all of them have a place in it), and
        have their channels last in memory, which is fast.
        """
        if isinstance(space, spaces.Dict):
            return {key: self.preprocess(observations[key], space[key], normalize_images) for key in space.spaces}
        if self._dtype is not None and observations.dtype == th.uint8 and observations.dim() == 4:
            images = observations.to(self._dtype).contiguous(memory_format=th.channels_last)
            return images.div_(255) if normalize_images and is_image_space(space) else images
        return preprocess_obs(observations, space, normalize_images=normalize_images)
