"""Small perceptrons in double precision, and draws of their parameters."""

import torch as th
from gymnasium import spaces
from torch import nn

from sb3_distill.learners import initialization
from sb3_distill.networks.anatomy import Network

OBSERVATIONS, ACTIONS = spaces.Box(-1, 1, (5,)), spaces.Discrete(3)


def perceptron(depth: int, activation: type[nn.Module], layer_norm: bool = False) -> Network:
    layers: list[nn.Module] = []
    width = 5
    for _ in range(depth):
        layers += [nn.Linear(width, 7), *([nn.LayerNorm(7)] if layer_norm else []), activation()]
        width = 7
    return Network(nn.Flatten(), nn.Sequential(*layers), nn.Linear(width, 3)).double()


def draw(network: Network, n: int) -> dict[str, th.Tensor]:
    params = initialization.draw(network, n, th.Generator().manual_seed(0), "pytorch")
    return {name: value.double() for name, value in params.items()}
