"""Running statistics inside a network: batch norms, and modules of a user that keep a mean and a variance."""

import contextlib
import copy
from collections.abc import Iterator

import numpy as np
import torch as th
from torch import nn

from sb3_distill.errors import ArgumentError
from sb3_distill.networks.anatomy import Network
from sb3_distill.trees import map_leaves
from sb3_distill.typing import Observations


def keepers_of(network: nn.Module) -> list[nn.Module]:
    """
    :param network: any network
    :return: its modules that have buffers of their own, and may change them in training mode
    """
    return [module for module in network.modules() if any(True for _ in module.buffers(recurse=False))]


def check_statistics(network: Network, inputs: Observations) -> None:
    """
    Learners act and are taught with fixed statistics, which follow the observations between two iterations. They must be
    buffers for that, and change in training mode only.

    :param network: an actor; not changed
    :param inputs: preprocessed observations of its space ``(b, ...)``
    :raises ValueError: if it has statistics of another kind
    """
    if network.chain() is not None:  # of PyTorch's modules only
        return
    with th.random.fork_rng(devices=[]), th.no_grad():
        for mode, advice in (
            (False, "changes when it only acts: change it where `self.training` is true, as torch's BatchNorm does"),
            (True, "changes in training mode and is no buffer: declare it with `register_buffer`"),
        ):
            trial = copy.deepcopy(network).train(mode)
            before = {name: value.copy() for name, value in _numbers_in(trial, buffers=not mode)}
            with contextlib.suppress(Exception):  # what cannot be run on such observations, fails where it is used
                trial(map_leaves(lambda leaf: th.cat([leaf, leaf + 1]), inputs))
            for name, value in _numbers_in(trial, buffers=not mode):
                if name in before and not np.array_equal(before[name], value, equal_nan=value.dtype.kind == "f"):
                    raise ArgumentError(f"`{name}` of the actor {advice}")


def _numbers_in(network: nn.Module, buffers: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays in the attributes of modules, and in objects there such as a ``RunningMeanStd``; with or without buffers."""
    for path, module in network.named_modules():
        if type(module).__module__.startswith("torch.nn."):
            continue
        attributes = {name: value for name, value in vars(module).items() if not name.startswith("_")}
        nested = {
            f"{name}.{inner}": part
            for name, value in attributes.items()
            if not isinstance(value, (nn.Module, type)) and hasattr(value, "__dict__") and not callable(value)
            for inner, part in vars(value).items()
        }
        own = dict(module.named_buffers(recurse=False)) if buffers else {}
        for name, value in {**attributes, **nested, **own}.items():
            if isinstance(value, th.Tensor):
                yield f"{path}.{name}", value.detach().cpu().numpy().copy()
            elif isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
                yield f"{path}.{name}", value
