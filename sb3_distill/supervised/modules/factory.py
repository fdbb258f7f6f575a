"""Cutting a module before its last layer, making learners of it, and its name in a file."""

import copy
import importlib
import sys
from collections.abc import Callable, Collection
from typing import TypeAlias

import torch as th
from torch import nn

from sb3_distill.dataset.allowed import is_allowed_module
from sb3_distill.errors import ArgumentError, DatasetError, UnsupportedError
from sb3_distill.learners.component import LearnerComponent
from sb3_distill.networks.anatomy import Network
from sb3_distill.typing import Shape

ModuleFactory: TypeAlias = Callable[[], nn.Module]
"""A function, or a class, that makes a new module without arguments."""
OURS = "sb3_distill"


def network_of(module: nn.Module, shape: Shape) -> Network:
    """
    :param module: a module from inputs ``(b, *shape)`` to ``(b, n_outputs)``, which ends with a linear layer
    :param shape: shape of one input
    :return: the module, cut before its last layer. The network shares the parameters of the module
    :raises TypeError: if the module does not take such inputs, or does not return what a linear layer of it returned
    """
    if not isinstance(module, nn.Module):
        raise UnsupportedError(f"`module` must make an nn.Module, got {type(module).__name__}")
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward and len(module):
        *hidden, last = module
        if isinstance(last, nn.Linear):
            return Network(nn.Identity(), nn.Sequential(*hidden), last)
    name = _last_linear(module, shape)
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    body = copy.deepcopy(module, shared)  # modules are copied, what they hold is not
    if not name:
        return Network(nn.Identity(), nn.Flatten(), body)
    head = body.get_submodule(name)
    parent, _, leaf = name.rpartition(".")
    setattr(body.get_submodule(parent), leaf, nn.Identity())
    return Network(nn.Identity(), body, head)


def _last_linear(module: nn.Module, shape: Shape) -> str:
    """Name of the linear layer whose outputs a module returns."""
    returned: list[tuple[str, th.Tensor]] = []
    hooks = [
        layer.register_forward_hook(lambda _, __, outputs, name=name: returned.append((name, outputs)))
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    was_training = module.training
    reference = next(module.parameters(), th.zeros(()))
    try:
        with th.no_grad():
            outputs = module.eval()(th.zeros((2, *shape), device=reference.device, dtype=reference.dtype))
    except (RuntimeError, ValueError, TypeError) as error:
        raise UnsupportedError(f"{type(module).__name__} does not take inputs of the shape {shape}: {error}") from error
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    ends = [name for name, value in returned if value is outputs]
    if not ends:
        raise UnsupportedError(
            f"{type(module).__name__} must end with a linear layer, whose outputs are logits or predictions: leave out a "
            "softmax behind it"
        )
    return ends[-1]


class FactoryOfModules:
    """
    Learners that a function makes, see ``learners.factory.NetworkFactory``.

    :param module: the function
    :param shape: shape of one input
    :param n_outputs: width of the labels
    """

    def __init__(self, module: ModuleFactory, shape: Shape, n_outputs: int) -> None:
        self._module, self._shape, self._n_outputs = module, shape, n_outputs

    @property
    def n_outputs(self) -> int:
        return self._n_outputs

    @property
    def target(self) -> str:
        return "the data"

    def name(self, component: LearnerComponent) -> str:
        return getattr(self._module, "__name__", "the module")

    def build(self, component: LearnerComponent, without_layers: bool) -> Network:
        if without_layers:
            raise ArgumentError(
                f"`learner_distribution` draws layers of perceptrons, and {self.name(component)} has its layers: give `init` "
                "and gains alone, or leave out `module`"
            )
        if component.policy is not None or component.policy_kwargs is not None:
            raise ArgumentError(
                "`learner_distribution` names a policy, and `module` says what learners are: leave out one of them"
            )
        return network_of(self._module(), self._shape)

    def law(self, component: LearnerComponent, network: Network) -> str | None:
        return None  # only the function knows


def name_of(module: ModuleFactory) -> str | None:
    """
    :param module: makes learners
    :return: the name that it is found by, ``"package.module:name"``; ``None`` if there is none
    """
    home, name = getattr(module, "__module__", None), getattr(module, "__qualname__", None)
    if home is None or name is None or home == "__main__":
        return None
    return f"{home}:{name}" if getattr(sys.modules.get(home), name, None) is module else None


def find_module(name: str | None, allow_imports: Collection[str] = ()) -> ModuleFactory:
    """
    :param name: what ``name_of`` said when the dataset was made
    :param allow_imports: modules that the caller trusts; a file makes nothing else import
    :return: the function
    :raises DatasetError: if there is no name, or no such function among those of this package and of trusted modules
    """
    if not name:
        raise DatasetError(
            "the learners of the dataset are made by a function without a name to be found by: pass it as `module`"
        )
    home, _, attribute = name.partition(":")
    is_ours = home == f"{OURS}.supervised.modules.architectures"
    if not is_ours and not is_allowed_module(home, allow_imports):
        raise DatasetError(
            f"the learners of the dataset are made by {name!r}: pass it as `module`, or trust its module with "
            f"allow_imports=[{home.partition('.')[0]!r}]"
        )
    try:
        found: ModuleFactory | None = getattr(importlib.import_module(home), attribute, None)
    except ImportError as error:
        raise DatasetError(f"the learners are made by {name!r}, which cannot be imported: {error}") from error
    if not callable(found):
        raise DatasetError(f"the learners are made by {name!r}, and {home} has no such function: pass it as `module`")
    return found
