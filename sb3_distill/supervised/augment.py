"""Random changes of real inputs, which keep their targets."""

from collections.abc import Callable
from typing import TypeAlias

import torch as th
from torch.nn import functional

from sb3_distill.errors import ArgumentError

Augment: TypeAlias = Callable[[th.Tensor, th.Generator], th.Tensor]
"""From inputs ``(b, *shape)``, as networks see them, and a generator (CPU) to inputs of the same shape."""


def shifts(pixels: int) -> Augment:
    """
    :param pixels: largest distance
    :return: moves each image ``(c, h, w)`` by up to so many pixels along both axes; what enters is the pixel at the edge
    :raises ValueError: if it is below 1; and, when called, for inputs that are no images
    """
    if pixels < 1:
        raise ArgumentError(f"`pixels` must be at least 1, got {pixels}")

    def move(inputs: th.Tensor, generator: th.Generator) -> th.Tensor:
        if inputs.dim() != 4:
            raise ArgumentError(f"shifts are for images (b, c, h, w), got inputs of the shape {tuple(inputs.shape)}")
        b, channels, height, width = inputs.shape
        padded = functional.pad(inputs, (pixels,) * 4, mode="replicate")
        down, right = th.randint(2 * pixels + 1, (2, b, 1), generator=generator)
        rows = (down + th.arange(height)).view(b, 1, height, 1).to(inputs.device)
        columns = (right + th.arange(width)).view(b, 1, 1, width).to(inputs.device)
        each = th.arange(b, device=inputs.device).view(b, 1, 1, 1)
        return padded[each, th.arange(channels, device=inputs.device).view(1, channels, 1, 1), rows, columns]

    return move
