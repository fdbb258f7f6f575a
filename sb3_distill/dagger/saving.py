"""A clone cannot be saved as a model, and callbacks that would save it are told so before learning."""

import dis
import itertools
from collections.abc import Iterator
from typing import NoReturn

from stable_baselines3.common.callbacks import BaseCallback, EvalCallback

from sb3_distill.errors import ArgumentError

WHY = "agent and states would have to be saved with it: save `model.dataset`, and go on with DAgger(..., initial_dataset=...)"


def refuse_to_save(callback: BaseCallback) -> None:
    """
    :param callback: callback of a clone that is about to learn, with all that it calls
    :raises ValueError: if one of them would save the model
    """
    for one in _with_callees(callback):
        if _saves(one):
            raise ArgumentError(
                f"{type(one).__name__} saves the model, and a DAgger cannot be saved, since {WHY}. A callback may call "
                "`self.model.dataset.save(path)`"
            )


def _with_callees(callback: object) -> Iterator[object]:
    """A callback and the callbacks in its attributes (lists of them, events)."""
    yield callback
    for name, value in vars(callback).items():
        if name in ("parent", "model", "locals", "globals"):
            continue
        for part in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(part, BaseCallback):
                yield from _with_callees(part)


def _saves(callback: object) -> bool:
    if isinstance(callback, EvalCallback) and type(callback)._on_step is EvalCallback._on_step:
        return callback.best_model_save_path is not None
    if getattr(callback, "saves_model", False):
        return True
    classes = [one for one in type(callback).__mro__ if one not in (BaseCallback, object)]
    methods = {name: function for one in reversed(classes) for name, function in vars(one).items()}  # those in use
    inner = getattr(callback, "callback", None)
    codes = [function.__code__ for function in [*methods.values(), inner] if hasattr(function, "__code__")]
    return any(_calls_save(code) for code in codes)


def _calls_save(code: object) -> bool:
    """Whether code has the words ``model.save``."""
    names = [step.argval for step in dis.get_instructions(code) if step.argval is not None]  # type: ignore[arg-type]
    return any(pair == ("model", "save") for pair in itertools.pairwise(names))


def cannot_save() -> NoReturn:
    """
    :raises NotImplementedError: always
    """
    raise NotImplementedError(WHY.partition(": ")[2])
