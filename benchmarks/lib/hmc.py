"""
Hamiltonian Monte Carlo for a perceptron with one hidden layer of tanh, all chains at once.

After Neal (2011), "MCMC using Hamiltonian dynamics"; as a reference for predictions, Izmailov et al. (2021, arXiv 2104.14421).
"""

from dataclasses import dataclass

import torch as th

BATCHES = 40
"""Consecutive parts of a chain whose means tell how far the chains have come together."""


@dataclass(frozen=True)
class Posterior:
    """
    Classes by ``softmax(W2 tanh(W1 x + b1) + b2)``, and a Gaussian prior of one variance for all parameters.

    :param inputs: ``(n, d)``
    :param targets: classes ``(n,)``
    :param width: hidden units
    :param n_classes: number of classes
    :param variance: of the prior
    """

    inputs: th.Tensor
    targets: th.Tensor
    width: int
    n_classes: int
    variance: float

    @property
    def n_parameters(self) -> int:
        """Length of a flat vector of parameters."""
        d, h, c = self.inputs.shape[1], self.width, self.n_classes
        return h * d + h + c * h + c

    def parts(self, flat: th.Tensor) -> list[th.Tensor]:
        """
        :param flat: ``(C, P)``
        :return: ``W1 (C, h, d)``, ``b1 (C, 1, h)``, ``W2 (C, c, h)``, ``b2 (C, 1, c)``
        """
        d, h, c = self.inputs.shape[1], self.width, self.n_classes
        w1, b1, w2, b2 = flat.split([h * d, h, c * h, c], dim=1)
        return [w1.view(-1, h, d), b1.unsqueeze(1), w2.view(-1, c, h), b2.unsqueeze(1)]

    def probabilities(self, flat: th.Tensor, inputs: th.Tensor) -> th.Tensor:
        """
        :param flat: ``(C, P)``
        :param inputs: ``(n, d)``
        :return: ``(C, n, c)``
        """
        w1, b1, w2, b2 = self.parts(flat)
        return th.baddbmm(b2, th.baddbmm(b1, inputs.expand(len(flat), -1, -1), w1.mT).tanh(), w2.mT).softmax(dim=2)

    def energy(self, flat: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """
        :param flat: ``(C, P)``
        :return: minus the log posterior density up to a constant ``(C,)``, and its gradient ``(C, P)``
        """
        w1, b1, w2, b2 = self.parts(flat)
        x = self.inputs.expand(len(flat), -1, -1)
        hidden = th.baddbmm(b1, x, w1.mT).tanh_()
        log_probs = th.baddbmm(b2, hidden, w2.mT).log_softmax(dim=2)
        rows = th.arange(len(self.targets))
        energy = flat.square().sum(dim=1) / (2 * self.variance) - log_probs[:, rows, self.targets].sum(dim=1)
        wrong = log_probs.exp_()
        wrong[:, rows, self.targets] -= 1
        back = th.bmm(wrong, w2).mul_(1 - hidden * hidden)
        parts = [th.bmm(back.mT, x), back.sum(dim=1), th.bmm(wrong.mT, hidden), wrong.sum(dim=1)]
        gradient = th.cat([part.flatten(1) for part in parts], dim=1)
        return energy, gradient.add_(flat, alpha=1 / self.variance)

    def modes(self, n: int, steps: int, seed: int) -> th.Tensor:
        """
        Maxima of the posterior density by Adam on all examples, whose rate falls to zero, from small random parameters.

        :param n: number of networks
        :param steps: number of steps
        :param seed: seed of the first parameters
        :return: ``(n, P)``
        """
        flat = 0.1 * th.randn(n, self.n_parameters, generator=th.Generator().manual_seed(seed))
        flat.requires_grad_()
        optimizer = th.optim.Adam([flat], 0.02, fused=True)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / steps)
            flat.grad = self.energy(flat.detach())[1]
            optimizer.step()
        return flat.detach()


@dataclass(frozen=True)
class Sampled:
    """
    What chains leave.

    :param means: mean predictive probabilities of each part of each chain ``(C, BATCHES, n, c)``
    :param variances: variance of these probabilities within each half of a chain ``(C, 2, n, c)``
    :param per_half: samples in half a chain
    :param acceptance: share of accepted proposals of each chain after burn-in ``(C,)``
    :param step_sizes: of each chain ``(C,)``
    """

    means: th.Tensor
    variances: th.Tensor
    per_half: int
    acceptance: th.Tensor
    step_sizes: th.Tensor

    @property
    def predictive(self) -> th.Tensor:
        """Mean predictive probabilities ``(n, c)``."""
        return self.means.mean(dim=(0, 1))

    def r_hat(self) -> th.Tensor:
        """Split R-hat of each predictive probability ``(n, c)`` (Gelman et al. 2013, section 11.4)."""
        halves = self.means.unflatten(1, (2, -1)).mean(dim=2).flatten(0, 1)
        within = self.variances.flatten(0, 1).mean(dim=0)
        between = self.per_half * halves.var(dim=0)
        return (((self.per_half - 1) / self.per_half * within + between / self.per_half) / within.clamp(min=1e-20)).sqrt()


def sample(
    posterior: Posterior, start: th.Tensor, inputs: th.Tensor, n: int, burn_in: int, n_leapfrog: int, seed: int
) -> Sampled:
    """
    :param posterior: what is sampled
    :param start: first parameters of each chain ``(C, P)``
    :param inputs: where predictions are kept ``(n_test, d)``
    :param n: samples of each chain, a multiple of ``BATCHES``
    :param burn_in: samples before, in which each chain's step size moves towards an acceptance of 0.85
    :param n_leapfrog: leapfrog steps of a sample
    :param seed: seed of momenta, lengths of steps and acceptance
    :return: predictive probabilities of the chains
    """
    generator, chains = th.Generator().manual_seed(seed), len(start)
    flat, (energy, gradient) = start.clone(), posterior.energy(start)
    size, accepted = th.full((chains,), 0.01), th.zeros(chains)
    shape = chains, len(inputs), posterior.n_classes
    sums = th.zeros(chains, BATCHES, *shape[1:], dtype=th.float64)
    squares = th.zeros(chains, 2, *shape[1:], dtype=th.float64)
    for i in range(burn_in + n):
        momentum = th.randn(flat.shape, generator=generator)
        before = energy + momentum.square().sum(dim=1) / 2
        step = (size * (0.8 + 0.4 * th.rand(chains, generator=generator))).unsqueeze(1)
        proposed, slope, level = flat, gradient, energy
        momentum = momentum - step / 2 * slope
        for j in range(n_leapfrog):
            proposed = proposed + step * momentum
            level, slope = posterior.energy(proposed)
            momentum = momentum - (step if j < n_leapfrog - 1 else step / 2) * slope
        log_ratio = before - level - momentum.square().sum(dim=1) / 2
        taken = th.rand(chains, generator=generator).log() < log_ratio
        flat = th.where(taken.unsqueeze(1), proposed, flat)
        gradient = th.where(taken.unsqueeze(1), slope, gradient)
        energy = th.where(taken, level, energy)
        if i < burn_in:
            rate = log_ratio.nan_to_num(-100.0).exp().clamp(max=1)
            size = size * ((rate - 0.85) * 2 / (1 + i) ** 0.6).exp()
            continue
        at, accepted = i - burn_in, accepted + taken
        probs = posterior.probabilities(flat, inputs).double()
        sums[:, at * BATCHES // n] += probs
        squares[:, at * 2 // n] += probs.square()
    half = n // 2
    mean = sums.unflatten(1, (2, -1)).sum(dim=2) / half
    return Sampled(sums / (n // BATCHES), (squares / half - mean.square()) * half / (half - 1), half, accepted / n, size)
