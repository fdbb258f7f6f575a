"""
Distilling a variational posterior: members are drawn from it, so that their mean prediction is a Bayesian one.

Learners with one hidden layer start from ``W1 ~ N(0, sigma^2)`` and are taught by ``carry``. With ``s`` the size of the
layer's outputs, ``carry`` makes ``W1' = kept W1 + added s B(D)``, where ``B`` depends on the synthetic set ``D`` alone. Up to
the small spread of ``s`` this is the Gaussian ``q(W1) = N(added s B(D), (kept sigma)^2)``: the set says the mean, the draw is
the noise. The head is Bayesian linear regression on the set's labels, as in VBPC (Kim et al. 2025, arXiv 2502.21143): with
features and a constant ``A (k, h + 1)``, ``q(w | W1) = N((A^T A + mu I)^-1 A^T y, tau (I + A^T A / mu)^-1)``, with ``mu`` and
``tau`` learned.
The outer loss is the negative evidence lower bound per example,

    -E_q log p(data | W1, w) / n + temperature (E KL(q(w | W1) || p) + KL(q(W1) || p)) / n,

both divergences in closed form, with the Gaussian prior of the reference. No sample of a posterior is used. The biases of the
first layer start at zero and have no noise: they are left out of the divergence, so that the bound is not strict.
"""

import math
from typing import Any, NamedTuple

import torch as th

from benchmarks.lib.digits import Pair, draw
from sb3_distill import SupervisedDistillation
from sb3_distill.learners.population import Learners
from sb3_distill.outer_loop.distiller import Companion
from sb3_distill.supervised import losses
from sb3_distill.typing import Json


class Head(NamedTuple):
    """
    Gaussian heads of M learners.

    :param mean: ``(M, h + 1, c)``, the last row for the bias
    :param covariance: of the weights of each class ``(M, h + 1, h + 1)``
    :param log_determinant: of the covariance ``(M,)``
    """

    mean: th.Tensor
    covariance: th.Tensor
    log_determinant: th.Tensor


def solve_head(features: th.Tensor, labels: th.Tensor, mu: th.Tensor, tau: th.Tensor) -> Head:
    """
    :param features: inputs of the heads on the synthetic set, with a constant ``(M, k, h + 1)``
    :param labels: ``(k, c)``
    :param mu: variance of the labels' noise over that of the regression's prior, a scalar
    :param tau: scale of the covariance, a scalar
    """
    size = features.shape[2]
    factor = th.linalg.cholesky(features.mT @ features + mu * th.eye(size))
    mean = th.cholesky_solve(features.mT @ labels.expand(len(features), -1, -1), factor)
    log_determinant = size * (mu.log() + tau.log()) - 2 * factor.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    return Head(mean, th.cholesky_inverse(factor) * mu * tau, log_determinant)


def divergence(head: Head, variance: float) -> th.Tensor:
    """
    :param head: Gaussian heads
    :param variance: of the prior ``N(0, variance I)``
    :return: KL of the heads from the prior ``(M,)``
    """
    size, n_classes = head.mean.shape[1:]
    trace = head.covariance.diagonal(dim1=1, dim2=2).sum(dim=1) / variance
    spread = n_classes * (trace - size - head.log_determinant + size * math.log(variance))
    return (spread + head.mean.square().sum(dim=(1, 2)) / variance) / 2


class VariationalDistillation(SupervisedDistillation):
    """
    :param data: examples
    :param width: hidden units
    :param sigma: standard deviation of the first layer's initial weights
    :param variance: of the prior of all parameters
    :param temperature: factor of the divergences; 1 for the evidence lower bound
    :param kwargs: of ``SupervisedDistillation``
    """

    def __init__(self, data: Pair, width: int, sigma: float, variance: float, temperature: float = 1.0, **kwargs: Any) -> None:
        fan = data[0].shape[1] + width
        component = {"init": "xavier_normal", "hidden_gain": sigma * math.sqrt(fan / 2), "last_gain": 1e-3}
        super().__init__(
            data, policy_kwargs={"net_arch": [width]}, inner_loop="carry", dataset_init="data", max_grad_norm=5.0,
            learner_distribution=component, **kwargs,
        )  # fmt: skip
        self.sigma, self.variance, self.temperature = sigma, variance, temperature
        self.log_mu, self.log_tau = th.zeros((), requires_grad=True), th.zeros((), requires_grad=True)
        parameters = [self.log_mu, self.log_tau]
        self.distiller.companions.append(Companion(parameters, th.optim.Adam(parameters, 0.02)))
        self.distiller._clipped_apart.append(parameters)

    def gaussian_outputs(self, learners: Learners, inputs: th.Tensor) -> tuple[Head, th.Tensor, th.Tensor]:
        """
        :param learners: M taught learners
        :param inputs: ``(M, b, d)``
        :return: heads, and mean ``(M, b, c)`` and variance ``(M, b, 1)`` of the logits
        """
        (group,) = learners.groups

        def features(x: th.Tensor) -> th.Tensor:
            latent = group.network.latent(group.params, x)
            return th.cat([latent, th.ones_like(latent[..., :1])], dim=2)

        assert isinstance(self.dataset.observations, th.Tensor)
        on_set = features(self.dataset.observations.expand(learners.n_learners, -1, -1))
        head, seen = solve_head(on_set, self.dataset.labels, self.log_mu.exp(), self.log_tau.exp()), features(inputs)
        return head, seen @ head.mean, ((seen @ head.covariance) * seen).sum(dim=2, keepdim=True).clamp(min=1e-9)

    def loss_of(self, learners: Learners, drawn: Learners) -> tuple[th.Tensor, th.Tensor]:
        chosen = th.randint(self.data_size, (learners.n_learners, self.batch_size), generator=self.generator)
        head, mean, variance = self.gaussian_outputs(learners, self.inputs[chosen])
        outputs = mean + variance.sqrt() * th.randn(mean.shape, generator=self.generator)
        error = losses.cross_entropy(outputs, self.targets[chosen]).mean()
        kept = (1 - self.dataset.learned["carry_logit"].sigmoid()).sqrt()
        (name,) = [name for name in drawn.groups[0].params if name.startswith("latent") and name.endswith("weight")]
        added = learners.groups[0].params[name] - kept * drawn.groups[0].params[name]
        ratio = (kept * self.sigma).square() / self.variance
        of_layer = (added.square().sum(dim=(1, 2)) / self.variance + added[0].numel() * (ratio - 1 - ratio.log())) / 2
        divergences = (divergence(head, self.variance) + of_layer).mean() / self.data_size
        loss = error + self.temperature * divergences
        return loss, loss

    @th.no_grad()
    def predict(self, inputs: th.Tensor, n_members: int, seed: int, n_heads: int = 10) -> th.Tensor:
        """
        :param inputs: what networks see ``(n, d)``
        :param n_members: number of fresh learners
        :param seed: seed of learners and heads
        :param n_heads: heads that are drawn for each learner; 0 for its mean head alone
        :return: probabilities of each learner, mean over heads ``(n_members, n, c)``
        """
        learners = self.dataset.teach(draw(self, n_members, seed))
        _, mean, variance = self.gaussian_outputs(learners, inputs.expand(n_members, -1, -1))
        if n_heads == 0:
            return mean.softmax(dim=2)
        generator, total = th.Generator().manual_seed(seed), th.zeros(())
        for _ in range(n_heads):
            total = total + (mean + variance.sqrt() * th.randn(mean.shape, generator=generator)).softmax(dim=2)
        return total / n_heads

    def figures(self) -> Json:
        """Learned numbers, for the record."""
        rates = self.dataset.inner_loop.rates(self.dataset.learned)
        return {**rates, "mu": float(self.log_mu.detach().exp()), "tau": float(self.log_tau.detach().exp())}
