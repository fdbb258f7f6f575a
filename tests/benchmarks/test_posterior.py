"""The reference of the study of the posterior, and the distilled variational posterior."""

import numpy as np
import pytest
import torch as th
from torch.distributions import MultivariateNormal, kl_divergence

from benchmarks.lib.digits import draw
from benchmarks.lib.hmc import BATCHES, sample
from benchmarks.lib.tanh_posterior import Posterior
from benchmarks.lib.variational import VariationalDistillation, divergence, solve_head


@pytest.fixture
def posterior():
    generator = th.Generator().manual_seed(0)
    inputs = th.randn(40, 3, generator=generator, dtype=th.float64)
    return Posterior(inputs, (inputs[:, 0] > 0).long(), 4, 2, 0.5)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    targets = rng.integers(3, size=200)
    return 2 * np.eye(3, 5)[targets] + rng.standard_normal((200, 5)), targets


def test_the_gradient_is_that_of_the_density(posterior):
    flat = th.randn(3, posterior.n_parameters, generator=th.Generator().manual_seed(1), dtype=th.float64).requires_grad_()
    probs = posterior.probabilities(flat, posterior.inputs)
    energy = flat.square().sum(dim=1) / (2 * 0.5) - probs[:, th.arange(40), posterior.targets].log().sum(dim=1)
    (expected,) = th.autograd.grad(energy.sum(), flat)
    energies, gradient = posterior.energy(flat.detach())
    assert th.allclose(energies, energy.detach())
    assert th.allclose(gradient, expected)


def test_chains_without_data_sample_the_prior():
    """Without a likelihood that tells classes apart, predictions are those of the prior, and chains agree."""
    inputs = th.zeros(1, 2)
    posterior = Posterior(inputs, th.zeros(1, dtype=th.long), 2, 2, 1e-4)  # so narrow that one example says nothing
    sampled = sample(posterior, th.zeros(2, posterior.n_parameters), inputs, 5 * BATCHES, 50, 10, seed=0)
    assert float(sampled.acceptance.min()) > 0.5
    assert float(sampled.r_hat().max()) < 1.2
    assert th.allclose(sampled.predictive, th.full((1, 2), 0.5, dtype=th.float64), atol=0.01)


def test_the_divergence_of_heads_is_that_of_gaussians():
    generator = th.Generator().manual_seed(0)
    features = th.randn(2, 6, 4, generator=generator, dtype=th.float64)
    labels = th.randn(6, 3, generator=generator, dtype=th.float64)
    head = solve_head(features, labels, th.tensor(0.3).double(), th.tensor(1.7).double())
    prior = MultivariateNormal(th.zeros(4).double(), 2.0 * th.eye(4).double())
    for i in range(2):
        each = [kl_divergence(MultivariateNormal(head.mean[i, :, c], head.covariance[i]), prior) for c in range(3)]
        assert float(divergence(head, 2.0)[i]) == pytest.approx(float(sum(each)), rel=1e-6)
        expected = th.linalg.solve(features[i].T @ features[i] + 0.3 * th.eye(4), features[i].T @ labels)
        assert th.allclose(head.mean[i], expected, rtol=1e-5)


def test_the_set_says_the_mean_of_the_first_layer_and_the_draw_its_noise(data):
    run = VariationalDistillation(data, 16, 0.5, 1.0, n_instances=8, seed=0, device="cpu").learn(3)
    drawn = draw(run, 5, 0)
    taught = run.dataset.teach(drawn)
    kept = (1 - run.dataset.learned["carry_logit"].sigmoid()).sqrt()
    (name,) = [name for name in drawn.groups[0].params if name.startswith("latent") and name.endswith("weight")]
    before, after = drawn.groups[0].params[name], taught.groups[0].params[name]
    assert float(before.std()) == pytest.approx(0.5, rel=0.1)
    added = (after - kept * before).detach().flatten(1)
    directions = added / added.norm(dim=1, keepdim=True)
    assert th.allclose(directions @ directions.T, th.ones(5, 5), atol=1e-4)


def test_a_variational_run_learns(data):
    run = VariationalDistillation(data, 16, 0.5, 1.0, n_instances=8, seed=0, device="cpu", learning_rate=0.02)
    before = float(run.log_mu.detach())
    run.learn(150)
    probs = run.predict(run.inputs, 20, 0)
    assert float(run.log_mu.detach()) != before
    assert th.allclose(probs.sum(dim=2), th.ones(20, 200), atol=1e-4)
    assert float((probs.mean(dim=0).argmax(dim=1) == run.targets).double().mean()) > 0.8
