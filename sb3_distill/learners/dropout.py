"""
Dropout of hidden units that lasts: a learner without some of its units is a narrower network, and is drawn as one. A mask
inside the network would not do: layer norms, label patterns and gradient steps would see the units that are left out.
"""

import copy
from typing import NamedTuple

import torch as th
from torch import nn

from sb3_distill.errors import UnsupportedError
from sb3_distill.learners.population import Group
from sb3_distill.networks.anatomy import Network
from sb3_distill.networks.stacked import ELEMENTWISE, StackedNetwork

FEWEST_UNITS = 3
"""A layer keeps at least so many units, if it has them: a layer norm over fewer leaves nothing to teach."""


class Cut(NamedTuple):
    """
    A hidden layer that loses units.

    :param layer: name of the linear layer
    :param norms: names of the layer norms behind it
    :param following: name of the linear layer that takes its units
    :param n_units: their number
    :param n_kept: number of units that stay
    """

    layer: str
    norms: tuple[str, ...]
    following: str
    n_units: int
    n_kept: int


class Narrower(NamedTuple):
    """
    :param network: the network with fewer hidden units
    :param cuts: where they are left out
    """

    network: StackedNetwork
    cuts: list[Cut]


def narrower(network: StackedNetwork, rate: float) -> Narrower:
    """
    Units of a linear layer can be left out where only layer norms and element-wise functions stand between that layer and the
    next linear one.

    :param network: shape of some learners
    :param rate: share of the units that are left out, in (0, 1)
    :return: the shape that is left
    :raises TypeError: if the network has no such layer
    """
    cuts = _cuts(network.template, rate)
    if not cuts:
        raise UnsupportedError(
            "`dropout` in `regularizers` leaves out units between two linear layers, and this network has no two of them with "
            f"nothing but layer norms and activations between: {type(network.template.features).__name__}, "
            f"{type(network.template.latent).__name__}, {type(network.template.head).__name__}"
        )
    statistics = {id(buffer): buffer for buffer in network.template.buffers()}  # which all learners share
    template: Network = copy.deepcopy(network.template, statistics)
    for cut in cuts:
        layer, following = template.get_submodule(cut.layer), template.get_submodule(cut.following)
        assert isinstance(layer, nn.Linear) and isinstance(following, nn.Linear)
        template.set_submodule(cut.layer, _linear(layer, layer.in_features, cut.n_kept))
        template.set_submodule(cut.following, _linear(following, cut.n_kept, following.out_features))
        for name in cut.norms:
            norm = template.get_submodule(name)
            assert isinstance(norm, nn.LayerNorm)
            affine, has_bias = norm.elementwise_affine, norm.bias is not None
            device = layer.weight.device
            template.set_submodule(name, nn.LayerNorm(cut.n_kept, norm.eps, affine, bias=has_bias, device=device))
    return Narrower(StackedNetwork(template.eval()), cuts)


def drop_units(group: Group, smaller: Narrower, generator: th.Generator) -> Group:
    """
    :param group: learners of one shape
    :param smaller: what ``narrower`` makes of that shape
    :param generator: source of randomness (CPU)
    :return: the same learners without some of their units, others in each. Weights of the units that stay are multiplied by
        ``sqrt(n_units / n_kept)`` where they are taken up, which keeps the size of what comes out of random weights
    """
    params, m = dict(group.params), group.n_learners
    for cut in smaller.cuts:
        kept = th.rand((m, cut.n_units), generator=generator).argsort(dim=1)[:, : cut.n_kept].sort(dim=1).values
        entries = (th.arange(m).unsqueeze(1), kept)
        names = [f"{module}.{kind}" for module in (cut.layer, *cut.norms) for kind in ("weight", "bias")]
        params |= {name: params[name][entries] for name in names if name in params}
        weight = f"{cut.following}.weight"
        params[weight] = params[weight].mT[entries].mT.contiguous() * (cut.n_units / cut.n_kept) ** 0.5
    return Group(smaller.network, params)


def _cuts(network: Network, rate: float) -> list[Cut]:
    cuts: list[Cut] = []
    layer: tuple[str, nn.Linear] | None = None
    norms: list[str] = []
    for name, module in network.chain() or []:
        if type(module) is nn.Linear:
            if layer is not None:
                n_units = layer[1].out_features
                n_kept = max(round((1 - rate) * n_units), min(FEWEST_UNITS, n_units))
                cuts.append(Cut(layer[0], tuple(norms), name, n_units, n_kept))
            layer, norms = (name, module), []
        elif isinstance(module, nn.LayerNorm) and len(module.normalized_shape) == 1:
            norms.append(name)
        elif not isinstance(module, ELEMENTWISE):
            layer = None
    return cuts


def _linear(layer: nn.Linear, n_inputs: int, n_outputs: int) -> nn.Linear:
    return nn.Linear(n_inputs, n_outputs, layer.bias is not None, device="meta").to_empty(device=layer.weight.device)
