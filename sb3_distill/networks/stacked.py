"""One network for many parameter sets: the forward pass of M actors of one shape at once."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch as th
from torch import nn
from torch.func import functional_call, vmap

from sb3_distill.networks import stacked_perceptron as mlp_step
from sb3_distill.networks.anatomy import Network
from sb3_distill.networks.roles import Role, role_of_parameters
from sb3_distill.typing import Observations, Params

Layer = Callable[[Mapping[str, th.Tensor], th.Tensor], th.Tensor]

ELEMENTWISE = (
    nn.Tanh,
    nn.ReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Sigmoid, nn.LeakyReLU, nn.Softplus, nn.SELU, nn.Mish, nn.Hardtanh, nn.Identity
)  # fmt: skip


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class StackedNetwork:
    """
    The forward pass of M actors of one shape.

    A chain of linear layers, layer norms and element-wise functions is evaluated by batched matrix products, which for
    small networks is several times as fast as ``vmap``; actors with convolutions are called one by one, since ``vmap`` makes
    grouped convolutions of them, which are slower, and not faster in half precision; every other actor goes through ``vmap``.

    :param actor: any actor of that shape; its parameter values are not used
    """

    def __init__(self, actor: Network) -> None:
        self.template = actor
        self.mlp = mlp_step.layers_of(actor.chain())
        layers = _batched_layers(actor)
        self.batched = layers is not None
        self._hidden = layers[:-1] if layers is not None else [self._called_latent]
        self.head = layers[-1] if layers is not None else self._called_head
        convolves = any(isinstance(module, CONVOLUTIONS) for module in actor.modules())
        self._call = _call_one_by_one if convolves else _vmap_call

    @cached_property
    def roles(self) -> dict[str, Role]:
        """See ``role_of_parameters``."""
        return role_of_parameters(self.template)

    def __call__(self, params: Mapping[str, th.Tensor], observations: Observations) -> th.Tensor:
        """
        :param params: stacked parameters, ``(M, *shape)`` each
        :param observations: ``(M, b, *preprocessed shape)``, or a dict of such tensors
        :return: outputs ``(M, b, n_outputs)``
        """
        if (
            self.mlp is not None
            and isinstance(observations, th.Tensor)
            and observations.dim() == 3
            and not th.is_autocast_enabled(observations.device.type)
        ):
            return mlp_step.forward(self.mlp, params, observations)
        return self.differentiable(params, observations)

    def differentiable(self, params: Mapping[str, th.Tensor], observations: Observations) -> th.Tensor:
        """As a call, but differentiable any number of times."""
        return self.head(params, self.latent(params, observations))

    def latent(self, params: Mapping[str, th.Tensor], observations: Observations) -> th.Tensor:
        """
        The input of the last layer.

        :param params: stacked parameters, ``(M, *shape)`` each
        :param observations: ``(M, b, *preprocessed shape)``, or a dict of such tensors
        :return: ``(M, b, h)``
        """
        inputs: Any = observations
        for layer in self._hidden:
            inputs = layer(params, inputs)
        latent: th.Tensor = inputs
        return latent

    def _called_latent(self, params: Mapping[str, th.Tensor], observations: Observations) -> th.Tensor:
        features = self._call(self.template.features, params, "features.", observations)
        return self._call(self.template.latent, params, "latent.", features)

    def _called_head(self, params: Mapping[str, th.Tensor], latent: th.Tensor) -> th.Tensor:
        return self._call(self.template.head, params, "head.", latent)


def stack_parameters(actors: list[Network]) -> Params:
    """
    :param actors: M actors of one shape
    :return: their parameters, copied and stacked
    """
    named = [dict(actor.named_parameters()) for actor in actors]
    return {name: th.stack([params[name].detach() for params in named]) for name in named[0]}


@th.no_grad()
def write_parameters(actor: Network, params: Mapping[str, th.Tensor], index: int = 0) -> None:
    """
    Copy one parameter set of a stack into an actor.

    :param actor: is changed in place
    :param params: stacked parameters of its shape, or some of them
    :param index: which of the M
    """
    for name, value in params.items():
        actor.get_parameter(name).copy_(value[index])


def _below(prefix: str, params: Mapping[str, th.Tensor]) -> Params:
    return {name.removeprefix(prefix): tensor for name, tensor in params.items() if name.startswith(prefix)}


def _call_one_by_one(module: nn.Module, params: Mapping[str, th.Tensor], prefix: str, inputs: Any) -> th.Tensor:
    own, is_dict = _below(prefix, params), isinstance(inputs, Mapping)
    m = len(next(iter(inputs.values())) if is_dict else inputs)
    parts = ({key: value[i] for key, value in inputs.items()} if is_dict else inputs[i] for i in range(m))
    outputs = [
        functional_call(module, {name: value[i] for name, value in own.items()}, (part,)) for i, part in enumerate(parts)
    ]
    return outputs[0].unsqueeze(0) if m == 1 else th.stack(outputs)


def _vmap_call(module: nn.Module, params: Mapping[str, th.Tensor], prefix: str, inputs: Observations) -> th.Tensor:
    own = _below(prefix, params)

    def call(one: dict[str, th.Tensor], x: th.Tensor) -> Any:
        return functional_call(module, one, (x,))

    if not own:  # vmap over an empty dict of parameters has no size to map over
        outputs: th.Tensor = vmap(module, randomness="different")(inputs)
        return outputs
    return vmap(call, randomness="different")(own, inputs)  # type: ignore[no-any-return, arg-type]


def _batched_layers(actor: Network) -> list[Layer] | None:
    chain = actor.chain()
    if chain is None or not isinstance(chain[-1][1], nn.Linear):
        return None
    layers = [_batched_layer(name, module) for name, module in chain]
    return layers if None not in layers else None  # type: ignore[return-value]


def _batched_layer(name: str, module: nn.Module) -> Layer | None:
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
