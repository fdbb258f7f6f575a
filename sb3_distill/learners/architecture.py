"""Hidden layers as a distribution draws them."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from sb3_distill.networks.anatomy import Network

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU, "silu": nn.SiLU, "identity": nn.Identity
}  # fmt: skip
"""Activations by name."""


@dataclass(frozen=True)
class Architecture:
    """
    The layers between a features extractor and the last layer.

    :param width: units of each layer
    :param depth: number of layers
    :param activation: a key of ``ACTIVATIONS``
    :param layer_norm: whether a layer norm precedes each activation
    """

    width: int
    depth: int
    activation: str
    layer_norm: bool

    def layers(self, n_inputs: int) -> nn.Sequential:
        """
        :param n_inputs: width of the features
        :return: the layers, whose parameters have no values yet
        """
        return hidden_layers(n_inputs, [self.width] * self.depth, self.activation, self.layer_norm, "meta")


def hidden_layers(
    n_inputs: int, widths: Sequence[int], activation: str, layer_norm: bool, device: str | None = None
) -> nn.Sequential:
    """
    :param n_inputs: width of the features
    :param widths: units of each layer
    :param activation: a key of ``ACTIVATIONS``
    :param layer_norm: whether a layer norm precedes each activation
    :param device: device of the parameters; ``"meta"`` for parameters without values
    :return: the layers, as PyTorch initialises them
    """
    layers: list[nn.Module] = []
    for width in widths:
        layers.append(nn.Linear(n_inputs, width, device=device))
        if layer_norm:
            layers.append(nn.LayerNorm(width, device=device))
        layers.append(ACTIVATIONS[activation]())
        n_inputs = width
    return nn.Sequential(*layers)


def perceptron(actor: Network, architecture: Architecture) -> Network:
    """
    :param actor: an actor without hidden layers
    :param architecture: the hidden layers to add
    :return: an actor with the same features extractor and these layers, whose parameters have no values yet
    """
    assert isinstance(actor.head, nn.Linear)
    device = actor.head.weight.device
    head = nn.Linear(architecture.width, actor.head.out_features, device="meta")
    return Network(
        actor.features,
        architecture.layers(actor.head.in_features).to_empty(device=device),
        head.to_empty(device=device),
    )
