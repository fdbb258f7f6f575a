"""
Regularisers of the outer loop as pure functions: they make a set teach learners that it was not made with. ``Regularization``
holds their sizes, and calls them.

Weights of learners (``cvar_weights``, ``group_weights``) enter the outer loss, and not the draw of learners: a mixture is then
measured as often in each of its parts whatever the weights are, the same learners are drawn with and without weights, and one
mechanism serves parts of a mixture and single learners.
"""

import math
from collections.abc import Mapping, Sequence

import torch as th
from gymnasium import spaces

from sb3_distill.typing import Params, Space

LARGEST_LOG_WEIGHT = 3.0
"""Bound of the logarithm of a component's weight: without it, a component that no set can teach takes all of the weight."""
MOST_STEPS = 10
"""So many times as many steps as usual are taken at most."""
SQUARED = ("carry_logit",)
"""Learned numbers of inner loops that are logarithms of squares; the others are logarithms."""


def cvar_weights(scores: th.Tensor, fraction: float) -> th.Tensor:
    """
    Weights with which a mean becomes the conditional value at risk, the mean of the worst ``fraction`` (Rockafellar & Uryasev
    2000): the worst learners have the weight ``1 / fraction``, and one learner a part of it where the fraction ends within it.

    :param scores: a score for each learner, higher is better ``(M,)``
    :param fraction: in (0, 1]
    :return: weights ``(M,)``, whose mean is 1
    """
    rank = th.empty_like(scores)
    rank[scores.argsort(stable=True)] = th.arange(len(scores), dtype=scores.dtype, device=scores.device)
    return (fraction * len(scores) - rank).clamp(0.0, 1.0) / fraction


def group_dro_step(log_weights: th.Tensor, scores: th.Tensor, components: Sequence[int], step_size: float) -> th.Tensor:
    """
    One step of exponentiated gradient ascent on the weights of a mixture's components (Sagawa et al. 2020, Algorithm 1:
    ``q <- q exp(step_size * loss)``, normalised). The loss of a component is how far its learners stay behind the mean of this
    draw, in standard deviations of the draw, so that rewards may have any scale. A component without learners stays as it is.

    :param log_weights: logarithms of factors of the components' frequencies ``(C,)``
    :param scores: a score for each learner, higher is better ``(M,)``
    :param components: component of each learner ``(M,)``
    :param step_size: size of the step
    :return: log-weights after the step ``(C,)``, at most ``LARGEST_LOG_WEIGHT`` away from 0
    """
    if len(scores) < 2:
        return log_weights
    scores = scores.to(log_weights)
    losses = (scores.mean() - scores) / (scores.std() + 1e-8)
    of_component = th.nn.functional.one_hot(th.as_tensor(components), len(log_weights)).to(losses)
    mean_losses = (losses @ of_component) / of_component.sum(dim=0).clamp(min=1.0)
    return (log_weights + step_size * mean_losses).clamp(-LARGEST_LOG_WEIGHT, LARGEST_LOG_WEIGHT)


def group_weights(log_weights: th.Tensor, components: Sequence[int]) -> th.Tensor:
    """
    :param log_weights: logarithms of factors of the components' frequencies ``(C,)``
    :param components: component of each learner ``(M,)``
    :return: weights of the learners ``(M,)``, whose mean is 1
    """
    return log_weights[th.as_tensor(components)].softmax(dim=0) * len(components)


def weighted_mean(values: th.Tensor, weights: th.Tensor | None) -> th.Tensor:
    """
    :param values: equally many of each learner, those of learner 0 first ``(M * b,)``
    :param weights: weights of the learners ``(M,)``; ``None`` for 1
    :return: the mean of the weighted values, a scalar
    """
    if weights is None:
        return values.mean()
    of_learners = values.view(len(weights), -1).mean(dim=1)
    return (of_learners * weights.to(values)).mean()


def add_noise(params: Params, size: float, generator: th.Generator) -> Params:
    """
    :param params: stacked parameters ``(M, *shape)`` by name
    :param size: standard deviation of the noise, in units of the root mean square of each tensor of each learner; what is zero
        stays zero
    :param generator: source of randomness (CPU)
    :return: parameters with normal noise
    """
    noisy: Params = {}
    for name, value in params.items():
        rms = value.flatten(1).square().mean(dim=1).sqrt().view(-1, *[1] * (value.dim() - 1))
        noisy[name] = value + size * rms * th.randn(value.shape, generator=generator).to(value)
    return noisy


def draw_shifts(learned: Mapping[str, th.Tensor], size: float, generator: th.Generator) -> Params:
    """
    What multiplies rates, ``lambda`` and strengths of an inner loop by log-normal factors, one for each number.

    :param learned: learned numbers of an inner loop by name: logarithms, or those of ``SQUARED``
    :param size: standard deviation of the factors' logarithms
    :param generator: source of randomness (CPU)
    :return: numbers to add to the learned ones, by name
    """
    return {
        name: (2 if name in SQUARED else 1) * size * th.randn(value.shape, generator=generator).to(value.device)
        for name, value in learned.items()
    }


def draw_steps(n_steps: int, size: float, generator: th.Generator) -> list[int]:
    """
    Another number of gradient steps: ``n_steps`` times a log-normal factor, rounded. Each step takes its rates from the step
    of the loop that is as far on its way.

    :param n_steps: number of steps of the loop
    :param size: standard deviation of the factor's logarithm
    :param generator: source of randomness (CPU)
    :return: for each step that is to be taken, the step whose rates it takes
    """
    factor = float((size * th.randn((), generator=generator)).exp())
    drawn = min(max(round(n_steps * factor), 1), MOST_STEPS * n_steps)
    return [step * n_steps // drawn for step in range(drawn)]


def disagreement(outputs: th.Tensor, action_space: Space, log_std: th.Tensor | None = None) -> th.Tensor:
    """
    How far learners differ in what they would do in the same states: the mean KL divergence of their action distributions from
    the mean one. For discrete actions the mean one is the mixture, which makes this the Jensen-Shannon divergence (Lin 1991);
    several choices at once are added up. For continuous ones it is the Gaussian around the mean of the means, which makes this
    ``sum_d Var(mean_d) / (2 std_d^2)``; exploration is not changed by it.

    :param outputs: outputs of M learners on b states ``(M, b, n_outputs)``
    :param action_space: ``Box``, ``Discrete``, ``MultiDiscrete`` or ``MultiBinary``
    :param log_std: logarithms of standard deviations ``(n_outputs,)``, for a ``Box``
    :return: a scalar, in nats; 0 for one learner
    """
    if isinstance(action_space, spaces.Box):
        assert log_std is not None
        return (outputs.var(dim=0, correction=0) / (2 * (2 * log_std.detach()).exp())).sum(dim=-1).mean()
    if isinstance(action_space, spaces.MultiBinary):
        choices = list(th.stack([outputs, th.zeros_like(outputs)], dim=-1).unbind(dim=2))  # a bit is a choice of two
    elif isinstance(action_space, spaces.MultiDiscrete):
        choices = list(outputs.split(action_space.nvec.tolist(), dim=-1))
    else:
        choices = [outputs]
    total = outputs.new_zeros(())
    for logits in choices:
        total = total + divergence_from_mixture(logits).mean()
    return total


def divergence_from_mixture(logits: th.Tensor) -> th.Tensor:
    """
    KL divergence of each learner's distribution from the mean of all. Its mean over learners is the information between action
    and learner.

    :param logits: logits of one choice ``(M, b, ..., n)``
    :return: in nats ``(M, b, ...)``; 0 for one learner
    """
    log_probs = logits.log_softmax(dim=-1)
    log_mean = log_probs.logsumexp(dim=0) - math.log(len(logits))
    return (log_probs.exp() * (log_probs - log_mean)).sum(dim=-1)
