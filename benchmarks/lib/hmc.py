"""
Hamiltonian Monte Carlo, all chains at once.

After Neal (2011), "MCMC using Hamiltonian dynamics"; as a reference for predictions, Izmailov et al. (2021, arXiv 2104.14421).
"""

from dataclasses import dataclass

import torch as th

from benchmarks.lib.tanh_posterior import Posterior

BATCHES = 40
"""Consecutive parts of a chain whose means tell how far the chains have come together."""


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
