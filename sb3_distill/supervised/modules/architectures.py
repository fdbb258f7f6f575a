"""Networks of the literature on distilled data, which start as Glorot & Bengio (2010) say."""

from torch import nn


class LeNet(nn.Sequential):
    """
    LeNet-5 of LeCun et al. (1998) with rectifiers and max pooling, as papers on distilled data use it: images ``(1, 28, 28)``,
    ten classes. Weights are Xavier uniform, biases zero.
    """

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
        initialise(self)


def initialise(module: nn.Module) -> None:
    """
    :param module: weights of its linear and convolutional layers are drawn anew, Xavier uniform; their biases become zero
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
