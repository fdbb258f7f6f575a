"""Inner learning in closed form: the last layer is solved."""

from collections.abc import Mapping
from typing import ClassVar

import torch as th
from torch import nn

from sb3_distill.errors import ArgumentError, UnsupportedError
from sb3_distill.inner_loop.trained import Trained, nothing_discarded
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
        head = actor.template.head
        if type(head) is not nn.Linear:
            raise UnsupportedError(f"the ridge head solves a linear last layer, this network ends in {type(head).__name__}")
        features = actor.latent(params, observations)
        error = labels - actor.head(params, features)
        center = features.mean(dim=1, keepdim=True)
        if head.bias is not None:
            features = features - center
        dual = features.shape[1] <= features.shape[2]  # solve the smaller of the two equivalent systems
        gram = features @ features.mT if dual else features.mT @ features
        scale = features.square().sum(dim=(1, 2)) / features.shape[1]
        ridge = learned["log_ridge"].exp() * scale
        system = gram + ridge[:, None, None] * th.eye(gram.shape[-1], device=gram.device, dtype=gram.dtype)
        if dual:
            change = features.mT @ th.linalg.solve(system, error)
        else:
            change = th.linalg.solve(system, features.mT @ error)
        solved = {"head.weight": params["head.weight"] + change.mT}
        if head.bias is not None:
            solved["head.bias"] = params["head.bias"] + (error.mean(dim=1, keepdim=True) - center @ change).squeeze(1)
        return nothing_discarded({**params, **solved})

    def rates(self, learned: Mapping[str, th.Tensor]) -> dict[str, float]:
        return {"ridge": float(learned["log_ridge"].detach().exp())}

    def settings(self) -> Json:
        return {"name": self.name}
