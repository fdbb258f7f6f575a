"""Inner learning by gradient steps (the paper: one)."""

from collections.abc import Mapping
from typing import ClassVar

import torch as th

from sb3_distill.errors import ArgumentError
from sb3_distill.inner_loop.trained import Trained, nothing_discarded
from sb3_distill.networks.roles import ROLES
from sb3_distill.networks.stacked import StackedNetwork
from sb3_distill.networks.stacked_perceptron import gradient_step
from sb3_distill.trees import length, map_leaves
from sb3_distill.typing import Json, Observations, Params

MAX_INFLUENCE = 30.0
"""Upper bound on the norm of one learner's gradient, as a multiple of the median norm over learners (several steps only)."""


class GradientSteps:
    """
    Full-batch gradient descent on the mean squared error over all ``k * n_outputs`` entries (the paper: one step).

    :param n_steps: number of steps
    :param learning_rate: initial value of the learned rates; also one for each of ``ROLES`` (with ``per_role``), or a list of
        these or of numbers in lists for each step
    :param per_role: learn one rate for each role of a parameter (weights and biases, of the first, the other hidden and the
        last layer) instead of one for all
    :param relative: measure the rates of a learner in units of ``1 / mean |h|^2``, with ``h`` the inputs of its last layer on
        the synthetic observations: networks with large features take smaller steps, so that several steps converge for all
    :raises ValueError: if ``n_steps`` is below 1, or a rate is not positive or not finite
    """

    name: ClassVar[str] = "sgd"
    arguments: ClassVar[dict[str, str]] = {
        "n_inner_steps": "n_steps", "inner_learning_rate": "learning_rate", "inner_rate_per_role": "per_role",
        "inner_rate_relative": "relative",
    }  # fmt: skip

    def __init__(self, n_steps: int = 1, learning_rate: object = 0.1, per_role: bool = False, relative: bool = False) -> None:
        if not isinstance(n_steps, int) or n_steps < 1:
            raise ArgumentError(f"`n_inner_steps` must be at least 1 and whole, got {n_steps!r}")
        for name, value in (("inner_rate_per_role", per_role), ("inner_rate_relative", relative)):
            if not isinstance(value, bool):
                raise ArgumentError(f"`{name}` must be True or False, got {value!r}")
        shape = (n_steps, len(ROLES) if per_role else 1)
        try:
            rates = th.as_tensor(learning_rate, dtype=th.float32)
            if rates.dim() == 1 and not per_role:  # one for each step
                rates = rates.unsqueeze(1)
            rates = rates.broadcast_to(shape)
        except (TypeError, RuntimeError, ValueError) as error:
            raise ArgumentError(
                f"`inner_learning_rate` must be a number (it is learned, and takes no schedule), or numbers that fit "
                f"{shape[0]} steps x {shape[1]} rates, got {learning_rate!r}"
            ) from error
        if not bool(((rates > 0) & rates.isfinite()).all()):
            raise ArgumentError(f"`inner_learning_rate` must be positive and finite, got {learning_rate!r}")
        self.n_steps = n_steps
        self._initial = rates.log()
        self.per_role = per_role
        self.relative = relative

    def initial_parameters(self) -> dict[str, th.Tensor]:
        return {"log_inner_learning_rates": self._initial.clone()}

    def bounds(self) -> dict[str, tuple[float, float]]:
        return {"log_inner_learning_rates": (-12.0, 9.0)}

    def train(
        self,
        actor: StackedNetwork,
        params: Params,
        observations: Observations,
        labels: th.Tensor,
        learned: Mapping[str, th.Tensor],
    ) -> Trained:
        rates = learned["log_inner_learning_rates"].exp()
        if self.n_steps == 1:
            return nothing_discarded(self._descend(actor, params, observations, labels, rates))
        n_discarded = th.zeros((), dtype=th.long, device=labels.device)
        if th.is_grad_enabled():  # several steps may diverge for some learner, which must not spoil the gradient of all
            m = length(observations)
            observations = map_leaves(lambda value: _bound_influence(value, n_discarded), observations)
            labels = _bound_influence(labels.expand(m, *labels.shape), n_discarded)
            rates = _bound_influence(rates.expand(m, *rates.shape), n_discarded)
        trained = self._descend(actor, params, observations, labels, rates)
        return Trained(finite_or(trained, params), n_discarded)

    def _descend(
        self, actor: StackedNetwork, params: Params, observations: Observations, labels: th.Tensor, rates: th.Tensor
    ) -> Params:
        factor = None
        if self.relative:
            factor = 1 / (1 + actor.latent(params, observations).square().sum(dim=2).mean(dim=1))
        for step in range(self.n_steps):
            params = self._step(actor, params, observations, labels, rates[..., step, :], factor)
        return params

    def _step(
        self,
        actor: StackedNetwork,
        params: Params,
        observations: Observations,
        labels: th.Tensor,
        rates: th.Tensor,
        factor: th.Tensor | None,
    ) -> Params:
        if actor.mlp is not None and isinstance(observations, th.Tensor) and observations.dim() == 3:
            if self.per_role:
                per_parameter = rates[..., [actor.roles[name] for layer in actor.mlp for name in (layer.weight, layer.bias)]]
            else:
                per_parameter = rates.expand(*rates.shape[:-1], 2 * len(actor.mlp))  # cheaper than picking
            return gradient_step(actor.mlp, params, observations, labels, per_parameter, factor)
        rates = rates if factor is None else rates * factor.unsqueeze(1)  # (M, roles), or (roles,)
        roles = actor.roles if self.per_role else dict.fromkeys(params, 0)
        return autograd_step(actor, params, observations, labels, {name: rates[..., role] for name, role in roles.items()})

    def rates(self, learned: Mapping[str, th.Tensor]) -> dict[str, float]:
        values = learned["log_inner_learning_rates"].detach().exp()
        name = "inner_rate" if self.per_role else "inner_learning_rate"  # so that step and role fit into SB3's table
        roles = [f"_{role}" for role in ROLES] if self.per_role else [""]
        steps = [f"_{step}" for step in range(self.n_steps)] if self.n_steps > 1 else [""]
        return {f"{name}{step}{role}": float(values[i, j]) for i, step in enumerate(steps) for j, role in enumerate(roles)}

    def settings(self) -> Json:
        return {"name": self.name, "n_steps": self.n_steps, "per_role": self.per_role, "relative": self.relative}


def autograd_step(
    actor: StackedNetwork, params: Params, observations: Observations, labels: th.Tensor, rates: Mapping[str, th.Tensor]
) -> Params:
    """
    One gradient step of any network; ``stacked_perceptron.gradient_step`` does the same for perceptrons, faster.

    :param actor: the shape of the learners
    :param params: stacked parameters ``(M, *shape)``
    :param observations: ``(M, k, *preprocessed shape)``, or a dict of such tensors
    :param labels: ``(k, n_outputs)``, or ``(M, k, n_outputs)``
    :param rates: step sizes of each parameter by name: a scalar, or ``(M,)``
    :return: parameters after the step, differentiable unless gradients are switched off
    """
    differentiable = th.is_grad_enabled()
    with th.enable_grad():
        params = {name: value if value.requires_grad else value.detach().requires_grad_() for name, value in params.items()}
        # The sum over learners gives each learner the gradient of its mean error.
        loss = (actor.differentiable(params, observations) - labels).square().mean(dim=(1, 2)).sum()
        gradients = th.autograd.grad(loss, list(params.values()), create_graph=differentiable, allow_unused=True)
        params = {
            name: value if gradient is None else value - _per_learner(rates[name], value) * gradient
            for (name, value), gradient in zip(params.items(), gradients, strict=True)
        }
    return params if differentiable else {name: value.detach() for name, value in params.items()}


def _bound_influence(inputs: th.Tensor, n_discarded: th.Tensor) -> th.Tensor:
    """
    Keep any learner from outweighing the others in the gradient: a learner's share is left out where it is not finite, and
    its norm is bounded by a multiple of the median norm.

    :param inputs: one part for each learner ``(M, ...)``
    :param n_discarded: counts the shares that were left out; the backward pass adds to it
    :return: the same values
    """
    if not inputs.requires_grad:
        return inputs

    def clip_to_median(gradient: th.Tensor | None) -> th.Tensor | None:
        if gradient is None:
            return None
        norm = gradient.flatten(1).norm(dim=1)
        finite = norm.isfinite()
        n_discarded.add_((~finite).sum())
        bound = MAX_INFLUENCE * th.where(finite, norm, 0.0).median()
        scale = th.where(finite & (norm > bound), bound / norm, 1.0)
        return th.where(_per_learner(finite, gradient), gradient * _per_learner(scale, gradient), 0.0)

    inputs = inputs.view_as(inputs)  # so that the hook belongs to this call alone
    inputs.register_hook(clip_to_median)
    return inputs


def _per_learner(values: th.Tensor, like: th.Tensor) -> th.Tensor:
    """One value for each learner ``(M,)``, or one for all, in a shape that broadcasts against ``like`` ``(M, ...)``."""
    return values.view(-1, *[1] * (like.dim() - 1))


def finite_or(params: Params, initial: Params) -> Params:
    """
    :param params: trained parameters ``(M, *shape)`` by name
    :param initial: those before
    :return: trained parameters, or all initial ones of a learner whose steps diverged
    """
    finite = th.stack([value.detach().flatten(1).isfinite().all(dim=1) for value in params.values()]).all(dim=0)
    return {name: th.where(_per_learner(finite, value), value, initial[name]) for name, value in params.items()}
