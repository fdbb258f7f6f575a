"""Inner learning in closed form: labels are carried through every layer."""

import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from typing import ClassVar

import torch as th
from gymnasium import spaces
from torch import nn

from sb3_distill.errors import ArgumentError, UnsupportedError, warn
from sb3_distill.inner_loop.carried_layer import Amounts, carried_layer
from sb3_distill.inner_loop.ridge_head import check_head, solve_head
from sb3_distill.inner_loop.smallest_change import TINY
from sb3_distill.inner_loop.trained import Trained, nothing_discarded
from sb3_distill.networks.anatomy import Network
from sb3_distill.networks.perceptron_layers import LowRank
from sb3_distill.networks.stacked import Link, StackedNetwork
from sb3_distill.typing import Json, Observations, Params, Space

STRENGTH, STRENGTH_OF_BOX = 3.0, 0.1
"""Initial strengths, for discrete and for continuous actions."""
FEWEST_UNITS = 3
"""Smallest layer norm that leaves room for labels: of two units it makes a step function."""


class Carry:
    """
    Each hidden linear layer gets the smallest change of its weights that adds a multiple of the labels to its outputs on the
    synthetic batch; then the head is solved as in ``RidgeHead``. After Forward Projection (O'Shea & Rajendran, arXiv
    2501.16476), which regresses each layer on random projections of inputs and labels.

    With ``a`` the outputs of a layer ``(k, h)``, ``s`` their standard deviation over instances and units, ``Yn`` the labels,
    centred and over their root mean square, and ``P (A, h)`` a pattern in which unit j has sign ``(-1)^(j // A)`` of label
    ``j mod A``, the layer is changed so that it returns ``(a + alpha s Yn P) / sqrt(1 + alpha^2)``, up to ridge regression.
    That is one solve with as many right-hand sides as there are labels, and the change has the rank of the labels. The
    division keeps the size of features at any depth. Before a layer norm, which divides by the size of labels near zero, a
    constant pattern ``alpha s q / sqrt(1 + alpha^2)`` is added.

    ``alpha -> 0`` is the ridge head. As ``alpha -> infinity``, every layer becomes a regression on the labels, in which its
    initial weights play no part but for the size ``s``. ``lambda`` and ``alpha^2 / (1 + alpha^2)`` (as a logit) are learned
    with the dataset.

    Layers that are not linear stay as they are drawn; a network that decides in its own code what it does has its head solved
    alone, with a warning.

    :param strength: initial ``alpha``, see ``default_strength``
    :param ridge: initial ``lambda``
    :param as_drawn: a record for the file: hidden layers of the learners, by name, that carry nothing, see ``layers_as_drawn``
    :raises ValueError: if ``strength`` or ``ridge`` is not positive
    """

    name: ClassVar[str] = "carry"
    arguments: ClassVar[dict[str, str]] = {"carry_strength": "strength"}

    def __init__(self, strength: float = STRENGTH, ridge: float = 1e-2, as_drawn: Sequence[str] = ()) -> None:
        for name, value in (("carry_strength", strength), ("ridge", ridge)):
            if not 0 < value < float("inf"):
                raise ArgumentError(f"`{name}` must be positive and finite, got {value!r}")
        self.strength = strength
        self.ridge = ridge
        self.as_drawn = list(as_drawn)

    def initial_parameters(self) -> dict[str, th.Tensor]:
        return {"log_ridge": th.full((1,), self.ridge).log(), "carry_logit": th.full((1,), self.strength).square().log()}

    def bounds(self) -> dict[str, tuple[float, float]]:
        # With a smaller lambda, single precision loses the derivative of a chain of solves.
        return {"log_ridge": (-6.9, 2.3), "carry_logit": (-9.2, 9.2)}

    def train(
        self,
        actor: StackedNetwork,
        params: Params,
        observations: Observations,
        labels: th.Tensor,
        learned: Mapping[str, th.Tensor],
    ) -> Trained:
        check_head(actor.template)
        ridge, share = learned["log_ridge"].exp(), learned["carry_logit"].sigmoid()
        links = actor.links
        low_rank: dict[str, LowRank] = {}
        if links is None or not isinstance(observations, th.Tensor):
            warn(f"labels are carried through chains of layers: of this network ({_custom(actor)}) the head alone is solved")
            features = actor.latent(params, observations)
        else:
            _check_layer_norms(links)
            taught, low_rank, features = _carry(links, params, observations, labels, ridge, share)
            params = {**params, **taught}
        return nothing_discarded({**params, **solve_head(actor, params, features, labels, ridge)}, low_rank)

    def rates(self, learned: Mapping[str, th.Tensor]) -> dict[str, float]:
        strength = (learned["carry_logit"].detach() / 2).exp()
        return {"ridge": float(learned["log_ridge"].detach().exp()), "carry_strength": float(strength)}

    def settings(self) -> Json:
        return {"name": self.name, **({"as_drawn": self.as_drawn} if self.as_drawn else {})}


def layers_as_drawn(network: Network) -> list[str]:
    """
    :param network: a learner
    :return: names of its hidden layers with parameters that carry no labels: all but linear layers and layer norms, or whole
        parts where a custom module decides in its own code what it does
    """
    chain = network.chain()
    if chain is None:
        parts = (("features", network.features), ("latent", network.latent))
        return [name for name, part in parts if list(part.parameters())]
    return [name for name, module in chain[:-1] if list(module.parameters()) and type(module) not in (nn.Linear, nn.LayerNorm)]


def default_strength(action_space: Space) -> float:
    """
    :param action_space: a task's
    :return: ``alpha`` at first. Features that are nearly linear in the labels suit a choice between actions; a policy of
        continuous actions is curved, and starts near the ridge head
    """
    return STRENGTH_OF_BOX if isinstance(action_space, spaces.Box) else STRENGTH


def _carry(
    links: list[Link], params: Params, x: th.Tensor, labels: th.Tensor, ridge: th.Tensor, share: th.Tensor
) -> tuple[Params, dict[str, LowRank], th.Tensor]:
    """Parameters of the hidden linear layers that carry labels, their factors, and the inputs of the head ``(M, k, h)``."""
    kept, added = (1 - share).sqrt(), share.sqrt()
    amounts = Amounts(kept, added, (kept.item(), added.item()))  # on a GPU this waits
    centred = labels - labels.mean(dim=0)
    centred = (centred * (centred.square().mean() + TINY).rsqrt()).T.unsqueeze(0)
    taught: Params = {}
    low_rank: dict[str, LowRank] = {}
    for (name, module, call), (_, following, _) in itertools.pairwise(links):
        if type(module) is not nn.Linear or x.dim() != 3:
            x = call(params, x)
            continue
        weight, bias = f"{name}.weight", f"{name}.bias" if module.bias is not None else None
        shape = labels.shape[1], module.out_features, labels.dtype, labels.device
        layer = carried_layer(
            x[:1] if x.stride(0) == 0 else x,  # often all learners see the same
            params[weight],
            params[bias] if bias else None,
            centred,
            ridge,
            amounts,
            _pattern(*shape),
            _offset(*shape) if bias and isinstance(following, nn.LayerNorm) else None,
        )
        x, taught[weight] = layer.outputs, layer.weight
        if bias and layer.bias is not None:
            taught[bias] = layer.bias
            if not params[weight].requires_grad:
                low_rank[weight] = LowRank(kept, layer.right, _pattern(*shape))
    return taught, low_rank, x


@cache
def _pattern(n_labels: int, n_units: int, dtype: th.dtype, device: th.device) -> th.Tensor:
    """``P (A, h)``."""
    units = th.arange(n_units)
    pattern = th.zeros(n_labels, n_units, dtype=dtype)
    pattern[units % n_labels, units] = (1 - 2 * (units // n_labels % 2)).to(dtype)
    return pattern.to(device)


@cache
def _offset(n_labels: int, n_units: int, dtype: th.dtype, device: th.device) -> th.Tensor:
    """``q (h,)``, nearly orthogonal to ``P`` and to a constant, which a layer norm would take away."""
    units = th.arange(n_units)
    return (1 - 2 * ((units // 2 if n_labels == 1 else units % n_labels) % 2)).to(dtype).to(device)


def _check_layer_norms(links: list[Link]) -> None:
    for name, module, _ in links:
        if isinstance(module, nn.LayerNorm) and module.normalized_shape[-1] < FEWEST_UNITS:
            raise UnsupportedError(
                f"labels cannot be carried through a layer norm over fewer than {FEWEST_UNITS} units (module `{name}`)"
            )


def _custom(actor: StackedNetwork) -> str:
    return ", ".join(f"{name}: {type(module).__name__}" for name, module in actor.template.named_children())
