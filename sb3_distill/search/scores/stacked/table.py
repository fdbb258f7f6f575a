"""The parameters of M networks as the rows of one matrix, and Adam on it."""

from collections.abc import Mapping

import torch as th

from sb3_distill.typing import Params


class ParameterTable:
    """
    Parameters of M networks, or of M sets of several networks. One matrix needs one call where tensors need one each: copies,
    norms, averages and steps of an optimiser.

    :param parts: for each network its stacked parameters ``(M, *shape)`` by name; they are copied
    :ivar values: all of them ``(M, n)``
    :ivar parts: views of ``values`` with a gradient of their own, by the names of ``parts``
    """

    def __init__(self, parts: Mapping[str, Params]) -> None:
        self.values = th.cat([value.flatten(1) for part in parts.values() for value in part.values()], dim=1)
        self.parts: dict[str, Params] = {}
        start = 0
        for key, part in parts.items():
            self.parts[key] = {}
            for name, value in part.items():
                stop = start + value[0].numel()
                view = self.values[:, start:stop].view(value.shape)
                self.parts[key][name] = view.requires_grad_()
                start = stop

    def leaves(self) -> list[th.Tensor]:
        """All views, in the order of the columns."""
        return [value for part in self.parts.values() for value in part.values()]

    def copy(self) -> "ParameterTable":
        """The same numbers in a matrix of their own, such as those of target networks."""
        return ParameterTable({key: {name: v.detach() for name, v in part.items()} for key, part in self.parts.items()})

    @th.no_grad()
    def follow(self, other: "ParameterTable", tau: float) -> None:
        """
        Go a share of the way to other parameters, as target networks do.

        :param other: parameters of the same shapes
        :param tau: the share, 0 to 1
        """
        self.values.lerp_(other.values, tau)


class TableAdam:
    """
    Adam on the rows of a table. Its steps are element-wise, so that each network is trained as it would be alone.

    The gradient of a network that is not finite is left out. The network stays as it is, and counts as diverged from then on.

    :param table: the parameters; they are changed in place
    :param learning_rate: step size
    :param eps: added to the root of the second moment
    :param max_grad_norm: bound of the norm of the gradient of each row; ``None`` for no bound
    :ivar diverged: whether a gradient of a row was not finite ``(M,)``
    """

    def __init__(
        self, table: ParameterTable, learning_rate: float, eps: float = 1e-8, max_grad_norm: float | None = None
    ) -> None:
        self.table, self.max_grad_norm = table, max_grad_norm
        self.diverged = th.zeros(len(table.values), dtype=th.bool)
        self._values = table.values.detach().requires_grad_()
        self._optimizer = th.optim.Adam([self._values], lr=learning_rate, eps=eps, fused=True)

    def set_rate(self, learning_rate: float) -> None:
        """
        :param learning_rate: step size from now on
        """
        self._optimizer.param_groups[0]["lr"] = learning_rate

    def step(self, losses: th.Tensor) -> None:
        """
        :param losses: loss of each network ``(M,)``, which depends on its own row alone
        """
        gradients = th.autograd.grad(losses.sum(), self.table.leaves())
        gradient = th.cat([part.flatten(1) for part in gradients], dim=1)
        norms = gradient.norm(dim=1)
        is_finite = norms.isfinite()
        if not bool(is_finite.all()):
            self.diverged |= ~is_finite
            gradient[~is_finite] = 0.0
            norms = norms.where(is_finite, 0.0)
        if self.max_grad_norm is not None:  # the formula of `clip_grad_norm_`
            gradient.mul_((self.max_grad_norm / (norms + 1e-6)).clamp(max=1.0).unsqueeze(1))
        self._values.grad = gradient
        self._optimizer.step()
