"""
Inner learning, ``Train(lambda, D)`` of the paper, as a pure differentiable function.

Two kinds stand behind one protocol: gradient steps (the paper: one) and, later, a closed-form last layer. A kind owns the
numbers that are learned with the dataset (its rates) and says how a population of one shape is trained; ``train`` applies
it to all shapes. A new kind is one class and one entry in ``INNER_LOOPS``.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import torch as th

from sb3_distill.learners import Learners
from sb3_distill.mlp_step import gradient_step
from sb3_distill.stacked import Params, StackedNetwork

Observations = th.Tensor | Mapping[str, th.Tensor]


class InnerLoop(Protocol):
    """A kind of inner learning."""

    name: ClassVar[str]

    def initial_parameters(self) -> dict[str, th.Tensor]:
        """The numbers learned together with the dataset, by the name under which its file stores them."""

    def train(
        self, actor: StackedNetwork, params: Params, observations: Any, labels: th.Tensor, learned: Mapping[str, th.Tensor]
    ) -> Params:
        """
        :param actor: the shape of the learners
        :param params: initial parameters ``(M, *shape)``
        :param observations: synthetic observations ``(M, k, *preprocessed shape)``, or a dict of such tensors
        :param labels: ``(k, n_outputs)``
        :param learned: what ``initial_parameters`` became
        :return: trained parameters, differentiable with respect to all inputs
        """

    def rates(self, learned: Mapping[str, th.Tensor]) -> dict[str, float]:
        """The learned numbers in readable form, for the log."""

    def settings(self) -> dict[str, Any]:
        """Arguments from which ``make_inner_loop`` makes it again, ``name`` included."""


class GradientSteps:
    """
    Full-batch gradient descent on the mean squared error over all ``k * n_outputs`` entries (the paper: one step).

    :param n_steps: number of steps
    :param learning_rate: initial value of the learned rate
    :raises ValueError: if ``n_steps`` is below 1 or the rate is not positive
    """

    name: ClassVar[str] = "sgd"

    def __init__(self, n_steps: int = 1, learning_rate: float = 0.1) -> None:
        if not isinstance(n_steps, int) or n_steps < 1:
            raise ValueError(f"`n_inner_steps` must be at least 1 and whole, got {n_steps!r}")
        if not learning_rate > 0:
            raise ValueError(f"`inner_learning_rate` must be positive, got {learning_rate}")
        self.n_steps = n_steps
        self.learning_rate = learning_rate

    def initial_parameters(self) -> dict[str, th.Tensor]:
        return {"log_inner_learning_rates": th.full((self.n_steps, 1), self.learning_rate).log()}

    def train(
        self, actor: StackedNetwork, params: Params, observations: Any, labels: th.Tensor, learned: Mapping[str, th.Tensor]
    ) -> Params:
        rates = learned["log_inner_learning_rates"].exp()
        for step in range(self.n_steps):
            if actor.mlp is not None and isinstance(observations, th.Tensor) and observations.dim() == 3:
                per_parameter = rates[step].expand(2 * len(actor.mlp))
                params = gradient_step(actor.mlp, params, observations, labels, per_parameter)
            else:
                params = autograd_step(actor, params, observations, labels, rates[step, 0])
        return params

    def rates(self, learned: Mapping[str, th.Tensor]) -> dict[str, float]:
        values = learned["log_inner_learning_rates"].detach().exp().flatten().tolist()
        if len(values) == 1:
            return {"inner_learning_rate": values[0]}
        return {f"inner_learning_rate_{i}": value for i, value in enumerate(values)}

    def settings(self) -> dict[str, Any]:
        return {"name": self.name, "n_steps": self.n_steps}


def autograd_step(actor: StackedNetwork, params: Params, observations: Any, labels: th.Tensor, rate: th.Tensor) -> Params:
    """
    One gradient step of any network; ``mlp_step.gradient_step`` does the same for perceptrons, faster.

    :param actor: the shape of the learners
    :param params: stacked parameters ``(M, *shape)``
    :param observations: ``(M, k, *preprocessed shape)``, or a dict of such tensors
    :param labels: ``(k, n_outputs)``
    :param rate: step size, a scalar
    :return: parameters after the step, differentiable unless gradients are switched off
    """
    differentiable = th.is_grad_enabled()
    with th.enable_grad():
        params = {name: value if value.requires_grad else value.detach().requires_grad_() for name, value in params.items()}
        # Summed over learners, so that each one's gradient is that of its own mean.
        loss = (actor.differentiable(params, observations) - labels).square().mean(dim=(1, 2)).sum()
        gradients = th.autograd.grad(loss, list(params.values()), create_graph=differentiable, allow_unused=True)
        params = {
            name: value if gradient is None else value - rate * gradient
            for (name, value), gradient in zip(params.items(), gradients, strict=True)
        }
    return params if differentiable else {name: value.detach() for name, value in params.items()}


INNER_LOOPS: dict[str, type[GradientSteps]] = {GradientSteps.name: GradientSteps}


def make_inner_loop(name: str, **settings: Any) -> InnerLoop:
    """
    :param name: kind, a key of ``INNER_LOOPS``
    :param settings: arguments of its class, as ``settings()`` returns them
    :raises ValueError: for an unknown kind, or settings out of range
    """
    if name not in INNER_LOOPS:
        raise ValueError(f"unknown `inner_loop` {name!r}; known are {', '.join(INNER_LOOPS)}")
    return INNER_LOOPS[name](**settings)


def train(
    inner_loop: InnerLoop, learners: Learners, observations: Any, labels: th.Tensor, learned: Mapping[str, th.Tensor]
) -> Learners:
    """
    Line 3 and line 12 of Algorithm 1: teach a population of learners the synthetic dataset.

    :param inner_loop: the kind of inner learning
    :param learners: initial learners; they are not changed
    :param observations: synthetic observations ``(k, *preprocessed shape)``, or a dict of such tensors
    :param labels: ``(k, n_outputs)``
    :param learned: the learned numbers of ``inner_loop``
    :return: trained learners, differentiable with respect to observations, labels and learned numbers unless gradients
        are switched off
    """
    groups = []
    for actor, params in learners.groups:
        m = next(iter(params.values())).shape[0]
        if isinstance(observations, Mapping):
            repeated: Any = {key: value.expand(m, *value.shape) for key, value in observations.items()}
        else:
            repeated = observations.expand(m, *observations.shape)
        groups.append((actor, inner_loop.train(actor, params, repeated, labels, learned)))
    return Learners(groups)
