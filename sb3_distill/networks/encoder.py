"""
The encoder: the first layers of an actor, shared by all learners and trained with the dataset (Algorithm 2 of Wilhelm &
Ventura 2025). With no layers in it learners are taught whole (full distillation), with all of them nothing is left to teach
(reinforcement learning).
"""

from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property

import torch as th
from torch import nn
from torch.func import functional_call

from sb3_distill.errors import ArgumentError
from sb3_distill.networks.anatomy import Network, parts_of
from sb3_distill.typing import Observations, Shape


def encoder_levels(network: Network) -> int:
    """
    :param network: an actor
    :return: number of its layers that an encoder can hold. Layers are modules with a weight matrix or kernel, each with the
        normalisations and activations that follow it; a features extractor with code of its own counts as one, and behind
        a custom ``mlp_extractor`` there is no place to cut
    """
    return sum(_starts_level(module) for _, module in parts_of(network))


def split(network: Network, n_layers: int) -> tuple[nn.Module | None, Network | None]:
    """
    Cut an actor before its layer ``n_layers + 1``. Both parts share its parameters, under the same names.

    :param network: an actor
    :param n_layers: number of layers of the encoder (``l`` of the paper)
    :return: encoder and rest; ``None`` for a part without layers
    :raises ValueError: if the actor cannot be cut there
    """
    levels = encoder_levels(network)
    if isinstance(n_layers, bool) or not isinstance(n_layers, int) or not 0 <= n_layers <= levels:
        raise ArgumentError(
            f"`encoder_layers` must be a whole number from 0 to {levels} for this network "
            f"({_described(network)}), got {n_layers!r}"
        )
    if n_layers == 0:
        return None, network
    pairs = parts_of(network)
    cuts = [i for i, (_, module) in enumerate(pairs) if _starts_level(module)] + [len(pairs)]
    before, behind = pairs[: cuts[n_layers]], pairs[cuts[n_layers] :]
    if not behind and pairs[-1][1] is network.head:
        return network, None
    rest = _nest(behind)
    sequential = any(name.startswith("latent.") for name, _ in pairs)
    latent = getattr(rest, "latent", nn.Sequential()) if sequential else network.latent
    return _nest(before), Network(getattr(rest, "features", nn.Sequential()), latent, network.head)


class Encoder(nn.Module):
    """
    Parameters of an encoder by name. The layers that they belong to are found in any actor with such first layers.

    :param tensors: parameters by name, as ``split`` names them
    :param n_layers: number of layers (``l`` of the paper)
    :param kinds: kinds of its modules, see ``kinds_of``; empty for an encoder whose file does not tell them
    """

    def __init__(self, tensors: Mapping[str, th.Tensor], n_layers: int, kinds: Mapping[str, str]) -> None:
        super().__init__()
        self.n_layers, self.kinds = n_layers, dict(kinds)
        for name, value in tensors.items():
            *path, leaf = name.split(".")
            module: nn.Module = self
            for part in path:
                if part not in module._modules:
                    module.add_module(part, nn.Module())
                module = module.get_submodule(part)
            module.register_parameter(leaf, nn.Parameter(value.detach().clone()))

    @classmethod
    def of(cls, layers: nn.Module, n_layers: int) -> "Encoder":
        """
        :param layers: first layers of an actor, see ``split``
        :param n_layers: number of these layers
        :return: an encoder that starts with their values
        """
        return cls(dict(layers.named_parameters()), n_layers, kinds_of(layers))

    def split(self, actor: Network) -> tuple[nn.Module, Network | None]:
        """
        :param actor: any actor
        :return: its first layers, and the rest, which a dataset can teach
        :raises ValueError: if its first layers are not of the same shapes and kinds
        """
        layers, rest = split(actor, self.n_layers)
        assert layers is not None
        self._check(_shapes_of(self), _shapes_of(layers))
        if self.kinds:
            self._check(self.kinds, kinds_of(layers))
        return layers, rest

    def _check(self, ours: Mapping[str, object], theirs: Mapping[str, object]) -> None:
        """
        :param ours: properties of the encoder's layers by name
        :param theirs: properties of the first layers of an actor
        :raises ValueError: if they differ
        """
        if ours != theirs:
            name = next(name for name in [*ours, *theirs] if ours.get(name) != theirs.get(name))
            raise ArgumentError(
                f"the encoder holds the first {self.n_layers} layers of its learners, and those of this network are others: "
                f"`{name}` is {theirs.get(name, 'missing')} instead of {ours.get(name, 'missing')}"
            )

    @th.no_grad()
    def write_to(self, layers: nn.Module) -> None:
        """
        :param layers: first layers of any actor, see ``split``; they take over the encoder's values
        """
        for name, value in self.named_parameters():
            layers.get_parameter(name).copy_(value)

    def first(self, n_layers: int, actor: Network) -> "Encoder | None":
        """
        :param n_layers: number of layers of the result, at most that of this encoder
        :param actor: an actor with these layers
        :return: an encoder of fewer layers, copied; ``None`` for no layers
        :raises ValueError: if the actor has other layers
        """
        self.split(actor)
        layers, _ = split(actor, n_layers)
        if layers is None:
            return None
        parameters = {name: self.get_parameter(name) for name, _ in layers.named_parameters()}
        return Encoder(parameters, n_layers, kinds_of(layers) if self.kinds else {})

    def bind(self, layers: nn.Module) -> "BoundEncoder":
        """
        :param layers: first layers of any actor, see ``split``
        :return: what they compute with the encoder's parameters
        """
        return BoundEncoder(layers, dict(self.named_parameters()))


def kinds_of(layers: nn.Module) -> dict[str, str]:
    """
    :param layers: first layers of an actor, see ``split``
    :return: the class of each module that does something, by name: what shapes of parameters do not tell (activations)
    """
    idle = (nn.Sequential, nn.Identity, nn.Flatten, nn.Dropout)
    parts = ((name, module) for name, module in layers.named_modules() if not list(module.children()))
    return {name: type(module).__name__ for name, module in parts if not isinstance(module, idle)}


class BoundEncoder:
    """
    An encoder as a function.

    :param layers: first layers of an actor, see ``split``
    :param parameters: parameters by name, with which the layers compute
    """

    def __init__(self, layers: nn.Module, parameters: dict[str, th.Tensor]) -> None:
        self._layers, self._parameters = layers, parameters

    def __call__(self, observations: Observations) -> th.Tensor:
        """
        :param observations: observations ``(b, *preprocessed shape)``, or a dict of such tensors
        :return: what the rest of a learner sees ``(b, ...)``
        """
        encoded: th.Tensor = functional_call(self._layers, self._parameters, (observations,))
        return encoded

    @cached_property
    def parts(self) -> "tuple[BoundEncoder, BoundEncoder | None]":
        """The same encoder in two: its features extractor, and what comes behind (where there is anything)."""
        behind = [(name, part) for name, part in self._layers.named_children() if name != "features"]
        features = nn.Sequential(OrderedDict(features=self._layers.get_submodule("features")))
        rest = BoundEncoder(nn.Sequential(OrderedDict(behind)), self._below("latent.", "head.")) if behind else None
        return BoundEncoder(features, self._below("features.")), rest

    def _below(self, *prefixes: str) -> dict[str, th.Tensor]:
        return {name: value for name, value in self._parameters.items() if name.startswith(prefixes)}


def holds_features(layers: nn.Module | None, network: Network) -> bool:
    """
    :param layers: first layers of the actor, see ``split``
    :param network: the actor
    :return: whether its whole features extractor is among them, and there is something in it to be trained
    """
    extractor = {f"features.{name}" for name, _ in network.features.named_parameters()}
    return bool(extractor) and layers is not None and extractor <= {name for name, _ in layers.named_parameters()}


def _shapes_of(layers: nn.Module) -> dict[str, Shape]:
    return {name: tuple(value.shape) for name, value in layers.named_parameters()}


def _starts_level(module: nn.Module) -> bool:
    return any(parameter.dim() > 1 for parameter in module.parameters())


def _nest(pairs: list[tuple[str, nn.Module]]) -> nn.Sequential:
    """Modules one after the other, in folders such that their parameters keep their names."""
    root = nn.Sequential()
    for name, module in pairs:
        *path, leaf = name.split(".")
        folder = root
        for part in path:
            if part not in folder._modules:
                folder.add_module(part, nn.Sequential())
            folder = getattr(folder, part)
        folder.add_module(leaf, module)
    return root


def _described(network: Network) -> str:
    names = [type(module).__name__ for _, module in parts_of(network) if _starts_level(module)]
    return ", ".join(f"{i}: {name}" for i, name in enumerate(names, 1)) or "nothing in it can be cut"
