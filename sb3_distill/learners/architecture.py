"""Hidden layers as a distribution draws them."""

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
        layers: list[nn.Module] = []
        for _ in range(self.depth):
            layers.append(nn.Linear(n_inputs, self.width, device="meta"))
            if self.layer_norm:
                layers.append(nn.LayerNorm(self.width, device="meta"))
            layers.append(ACTIVATIONS[self.activation]())
            n_inputs = self.width
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
