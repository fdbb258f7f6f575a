"""Learning that is interrupted, by Ctrl-C for instance."""

from collections.abc import Iterator
from typing import Any, Self

from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EventCallback


class TellsInterruptions:
    """
    A model whose callbacks hear of a ``KeyboardInterrupt``, which then leaves ``learn`` as SB3's does. A callback that wants
    to know has a method ``on_interruption``, and so may a vector environment, which is in the middle of a step. The model
    can be saved, and goes on with ``learn(..., reset_num_timesteps=False)``.
    """

    def learn(self, total_timesteps: int, callback: Any = None, *args: Any, **kwargs: Any) -> Self:
        """
        :raises KeyboardInterrupt: if it is interrupted, after callbacks were told
        """
        try:
            return super().learn(total_timesteps, callback, *args, **kwargs)  # type: ignore[misc, no-any-return]
        except KeyboardInterrupt:
            env = self.get_env()  # type: ignore[attr-defined]
            for listener in [*_flat(callback), *([] if env is None else [env.unwrapped])]:
                if (tell := getattr(listener, "on_interruption", None)) is not None:
                    tell()
            raise


def _flat(callback: object) -> Iterator[BaseCallback]:
    """All callbacks that are part of what ``learn`` was given."""
    if isinstance(callback, CallbackList):
        callback = callback.callbacks
    if isinstance(callback, list):
        for part in callback:
            yield from _flat(part)
    elif isinstance(callback, BaseCallback):
        yield callback
        if isinstance(callback, EventCallback) and callback.callback is not None:
            yield from _flat(callback.callback)
