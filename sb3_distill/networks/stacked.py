"""One network for many parameter sets: the forward pass of M actors of one shape at once."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

import torch as th
from torch import nn
from torch.func import functional_call, vmap

from sb3_distill.networks import stacked_perceptron
from sb3_distill.networks.anatomy import Network
from sb3_distill.networks.perceptron_layers import IDENTITY, Layer, LowRank, layers_of
from sb3_distill.networks.roles import Role, role_of_parameters
from sb3_distill.trees import length, map_leaves
from sb3_distill.typing import Observations, Params

BatchedLayer = Callable[[Mapping[str, th.Tensor], th.Tensor], th.Tensor]
"""From stacked parameters and inputs ``(M, b, ...)`` to outputs ``(M, b, ...)``."""


class Link(NamedTuple):
    """
    One layer of a network that is a chain of layers.

    :param name: name of the module
    :param module: the layer, for one parameter set
    :param call: the layer for all learners
    """

    name: str
    module: nn.Module
    call: BatchedLayer


ELEMENTWISE = (
    nn.Tanh,
    nn.ReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Sigmoid, nn.LeakyReLU, nn.Softplus, nn.SELU, nn.Mish, nn.Hardtanh, nn.Identity
)  # fmt: skip

NONE: Mapping[str, LowRank] = {}
"""No weights with a change of low rank."""

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class StackedNetwork:
    """
    The forward pass of M actors of one shape.

    A chain of linear layers, layer norms and element-wise functions is evaluated by batched matrix products, which for
    small networks is several times as fast as ``vmap``; actors with convolutions are called one by one, since ``vmap`` makes
    grouped convolutions of them, which are slower, and not faster in half precision; every other actor goes through ``vmap``.

    ``latent``, ``head`` and ``differentiable`` can be differentiated any number of times, a call only once. All take
    parameters by name, stacked to ``(M, *shape)``, and learner i of M sees entry i of the inputs.

    :param actor: any actor of that shape; its parameter values are not used
    :ivar template: the actor, a plain module for one parameter set
    :ivar mlp: its layers, if it is a perceptron whose derivatives are written out, else ``None``
    :ivar batched: whether it is evaluated by batched matrix products
    """

    def __init__(self, actor: Network) -> None:
        self.template = actor
        self.mlp = layers_of(actor.chain())
        self._layers = _batched_layers(actor)
        self.batched = self._layers is not None
        convolves = any(isinstance(module, CONVOLUTIONS) for module in actor.modules())
        self._call_each = _call_one_by_one if convolves else _call_by_vmap

    @cached_property
    def links(self) -> list[Link] | None:
        """The layers one by one, or ``None`` where a custom module decides in its own code what it does."""
        chain = self.template.chain()
        layers = self._layers or [self._call(name, module) for name, module in chain or []]
        return None if chain is None else [Link(*pair, layer) for pair, layer in zip(chain, layers, strict=True)]

    def _call(self, name: str, module: nn.Module) -> BatchedLayer:
        return lambda params, x: self._call_each(module, params, f"{name}.", x)

    @cached_property
    def roles(self) -> dict[str, Role]:
        """See ``role_of_parameters``."""
        return role_of_parameters(self.template)

    def __call__(
        self, params: Mapping[str, th.Tensor], observations: Observations, low_rank: Mapping[str, LowRank] = NONE
    ) -> th.Tensor:
        """
        :param params: stacked parameters by name
        :param observations: observations ``(M, b, *preprocessed shape)``, or a dict of such tensors
        :param low_rank: weights of linear layers with a bias whose gradient goes to the factors of their change, by name
        :return: outputs ``(M, b, n_outputs)``, differentiable once
        """
        # Under autocast the backward pass that is written out would mix precisions; autograd's does not.
        if isinstance(observations, th.Tensor) and not th.is_autocast_enabled(observations.device.type):
            if self.mlp is not None and observations.dim() == 3:
                return stacked_perceptron.forward(self.mlp, params, observations, low_rank)
            if self.links is not None and low_rank and th.is_grad_enabled():
                return self._by_links(self.links, params, observations, low_rank)
        return self.differentiable(params, observations)

    def _by_links(
        self, links: list[Link], params: Mapping[str, th.Tensor], x: th.Tensor, low_rank: Mapping[str, LowRank]
    ) -> th.Tensor:
        """As ``differentiable``; linear layers in ``low_rank`` are perceptrons of one layer."""
        for name, _, call in links:
            layer = Layer(f"{name}.weight", f"{name}.bias", IDENTITY)
            x = stacked_perceptron.forward([layer], params, x, low_rank) if layer.weight in low_rank else call(params, x)
        return x

    def differentiable(self, params: Mapping[str, th.Tensor], observations: Observations) -> th.Tensor:
        """
        :param params: stacked parameters by name
        :param observations: observations ``(M, b, *preprocessed shape)``, or a dict of such tensors
        :return: outputs ``(M, b, n_outputs)``
        """
        return self.head(params, self.latent(params, observations))

    def latent(self, params: Mapping[str, th.Tensor], observations: Observations) -> th.Tensor:
        """
        :param params: stacked parameters by name
        :param observations: observations ``(M, b, *preprocessed shape)``, or a dict of such tensors
        :return: inputs of the last layer ``(M, b, h)``
        """
        if self._layers is None:
            features = self._call_each(self.template.features, params, "features.", observations)
            return self._call_each(self.template.latent, params, "latent.", features)
        assert isinstance(observations, th.Tensor), "a chain of layers takes one tensor"
        x = observations
        for layer in self._layers[:-1]:
            x = layer(params, x)
        return x

    def head(self, params: Mapping[str, th.Tensor], latent: th.Tensor) -> th.Tensor:
        """
        :param params: stacked parameters by name
        :param latent: inputs of the last layer ``(M, b, h)``
        :return: outputs ``(M, b, n_outputs)``
        """
        if self._layers is None:
            return self._call_each(self.template.head, params, "head.", latent)
        return self._layers[-1](params, latent)


def stack_parameters(actors: list[Network]) -> Params:
    """
    :param actors: M actors of one shape
    :return: their parameters by name, copied and stacked
    """
    named = [dict(actor.named_parameters()) for actor in actors]
    return {name: th.stack([params[name].detach() for params in named]) for name in named[0]}


@th.no_grad()
def write_parameters(actor: Network, params: Mapping[str, th.Tensor], index: int = 0) -> None:
    """
    Copy one parameter set of a stack into an actor.

    :param actor: actor that is changed in place
    :param params: stacked parameters of its shape by name, or some of them
    :param index: index of the parameter set
    """
    for name, value in params.items():
        actor.get_parameter(name).copy_(value[index])


def below(prefix: str, params: Mapping[str, th.Tensor]) -> Params:
    """The tensors whose names begin with a prefix, by what follows it."""
    return {name.removeprefix(prefix): tensor for name, tensor in params.items() if name.startswith(prefix)}


def _call_one_by_one(module: nn.Module, params: Mapping[str, th.Tensor], prefix: str, inputs: Observations) -> th.Tensor:
    stacked = below(prefix, params)

    def call(i: int) -> th.Tensor:
        values = {name: value[i] for name, value in stacked.items()}
        outputs: th.Tensor = functional_call(module, values, (map_leaves(lambda leaf: leaf[i], inputs),))
        return outputs

    outputs = [call(i) for i in range(length(inputs))]
    return outputs[0].unsqueeze(0) if len(outputs) == 1 else th.stack(outputs)


def _call_by_vmap(module: nn.Module, params: Mapping[str, th.Tensor], prefix: str, inputs: Observations) -> th.Tensor:
    def call(values: Params, x: Observations) -> th.Tensor:
        outputs: th.Tensor = functional_call(module, values, (x,))
        return outputs

    stacked = below(prefix, params)
    if not stacked:  # vmap over an empty dict of parameters has no size to map over
        return _vmap(module)(inputs)
    return _vmap(call)(stacked, inputs)


def _vmap(function: Callable[..., th.Tensor]) -> Callable[..., th.Tensor]:
    return vmap(function, randomness="different")


def _batched_layers(actor: Network) -> list[BatchedLayer] | None:
    chain = actor.chain()
    if chain is None or not isinstance(chain[-1][1], nn.Linear):
        return None
    layers = [layer for layer in (_batched_layer(name, module) for name, module in chain) if layer is not None]
    return layers if len(layers) == len(chain) else None


def _batched_layer(name: str, module: nn.Module) -> BatchedLayer | None:
    weight, bias = f"{name}.weight", f"{name}.bias"
    if isinstance(module, nn.Linear):
        if module.bias is None:
            return lambda params, x: th.bmm(x, params[weight].mT)
        return lambda params, x: th.baddbmm(params[bias].unsqueeze(1), x, params[weight].mT)
    if isinstance(module, nn.Flatten) and module.start_dim == 1 and module.end_dim == -1:
        return lambda params, x: x.flatten(2)
    if isinstance(module, nn.LayerNorm) and module.elementwise_affine and len(module.normalized_shape) == 1:
        shape, eps, has_bias = module.normalized_shape, module.eps, module.bias is not None

        def layer_norm(params: Mapping[str, th.Tensor], x: th.Tensor) -> th.Tensor:
            x = nn.functional.layer_norm(x, shape, eps=eps) * params[weight].unsqueeze(1)
            return x + params[bias].unsqueeze(1) if has_bias else x

        return layer_norm
    if isinstance(module, ELEMENTWISE):
        return lambda params, x: module(x)
    return None
