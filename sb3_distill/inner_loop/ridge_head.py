"""Inner learning in closed form: the last layer is solved."""

from collections.abc import Mapping
from typing import ClassVar

import torch as th
from torch import nn

from sb3_distill.errors import ArgumentError, UnsupportedError
from sb3_distill.inner_loop.smallest_change import smallest_change
from sb3_distill.inner_loop.trained import Trained, nothing_discarded
from sb3_distill.networks.anatomy import Network
from sb3_distill.networks.stacked import StackedNetwork
from sb3_distill.typing import Json, Observations, Params


class RidgeHead:
    """
    One closed-form solve of the last linear layer; the layers before it keep their initial parameters.

    With ``H`` the ``(k, h)`` inputs of the last layer, centred, and ``f`` its outputs, the weights change by
    ``H^T (H H^T + lambda mean(diag(H H^T)) I)^-1 (Y - f)`` and the bias takes the mean of what is left: the smallest change of
    the layer that fits the labels (``lambda -> 0``), whatever the initialisation. ``lambda`` is learned. Since features are
    centred, neither their scale nor their offset matters: deep networks, whose features hardly vary, learn too.

    :param ridge: initial value of ``lambda``
    :raises ValueError: if it is not positive
    """

    name: ClassVar[str] = "ridge"
    arguments: ClassVar[dict[str, str]] = {}

    def __init__(self, ridge: float = 1e-2) -> None:
        if not 0 < ridge < float("inf"):
            raise ArgumentError(f"`ridge` must be positive and finite, got {ridge}")
        self.ridge = ridge

    def initial_parameters(self) -> dict[str, th.Tensor]:
        return {"log_ridge": th.full((1,), self.ridge).log()}

    def bounds(self) -> dict[str, tuple[float, float]]:
        # Below, single precision cannot tell the kernel of a few instances from a singular one.
        return {"log_ridge": (-11.5, 2.3)}

    def train(
        self,
        actor: StackedNetwork,
        params: Params,
        observations: Observations,
        labels: th.Tensor,
        learned: Mapping[str, th.Tensor],
    ) -> Trained:
        check_head(actor.template)
        features = actor.latent(params, observations)
        return nothing_discarded({**params, **solve_head(actor, params, features, labels, learned["log_ridge"].exp())})

    def rates(self, learned: Mapping[str, th.Tensor]) -> dict[str, float]:
        return {"ridge": float(learned["log_ridge"].detach().exp())}

    def settings(self) -> Json:
        return {"name": self.name}


def check_head(network: Network) -> None:
    """
    :param network: a learner
    :raises TypeError: if its last layer is not linear, so that there is no closed form
    """
    if type(network.head) is not nn.Linear:
        kind = type(network.head).__name__
        raise UnsupportedError(f"a closed form needs a linear last layer, the module `head` of this network is a {kind}")


def solve_head(actor: StackedNetwork, params: Params, features: th.Tensor, labels: th.Tensor, ridge: th.Tensor) -> Params:
    """
    :param actor: the shape of the learners, with a linear head
    :param params: parameters of the head ``(M, *shape)`` by name, and maybe others
    :param features: inputs of the head ``(M, k, h)``
    :param labels: ``(k, n_outputs)``, or ``(M, k, n_outputs)``
    :param ridge: ``lambda``, ``(1,)``
    :return: parameters of the head that fit the labels
    """
    has_bias = actor.template.head.bias is not None
    change = smallest_change(features, labels - actor.head(params, features), ridge, has_bias)
    solved = {"head.weight": params["head.weight"] + change.weight}
    return {**solved, "head.bias": params["head.bias"] + change.bias} if has_bias else solved
