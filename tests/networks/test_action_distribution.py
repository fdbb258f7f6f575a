"""Every kind of action distribution against SB3's."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import StateDependentNoiseDistribution, make_proba_distribution

from sb3_distill.errors import ArgumentError
from sb3_distill.networks.action_distribution import (
    Bernoulli,
    Categorical,
    Gaussian,
    MultiCategorical,
    StateDependentGaussian,
    make_action_distribution,
    to_env,
)

BOX = spaces.Box(-2.0, 2.0, (3,))
LATENT_DIM = 5
LOG_STD = th.tensor([-1.0, 0.0, 0.5])
LOGIT_SPACES = {
    Categorical: spaces.Discrete(4), MultiCategorical: spaces.MultiDiscrete([2, 3]), Bernoulli: spaces.MultiBinary(3)
}  # fmt: skip
GSDE = [dict(), dict(squash_output=True), dict(full_std=False), dict(use_expln=True, learn_features=True)]


def gsde(**arguments):
    distribution = StateDependentNoiseDistribution(3, **arguments)
    distribution.latent_sde_dim = LATENT_DIM
    return distribution


def randn(*shape, seed=0):
    return th.randn(shape, generator=th.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", LOGIT_SPACES)
def test_densities_entropies_and_modes_of_logits_are_those_of_sb3(kind):
    space = LOGIT_SPACES[kind]
    distribution, sb3 = make_action_distribution(space), make_proba_distribution(space)
    assert type(distribution) is kind
    assert not distribution.state_dependent
    assert not distribution.squashes
    space.seed(0)
    outputs = 2 * randn(20, distribution.n_outputs)
    actions = th.as_tensor(np.array([space.sample() for _ in range(20)]))
    sb3.proba_distribution(outputs)
    table = actions.reshape(20, -1)  # as a rollout buffer holds them
    assert th.allclose(distribution.log_prob(outputs, table.float()), sb3.log_prob(actions.float()), atol=1e-6)
    assert th.allclose(distribution.entropy(outputs), sb3.entropy(), atol=1e-6)
    assert distribution.act(outputs, None).equal(sb3.mode())


def test_densities_entropies_and_modes_of_a_gaussian_are_those_of_sb3():
    distribution, sb3 = make_action_distribution(BOX), make_proba_distribution(BOX)
    assert type(distribution) is Gaussian
    outputs, actions = randn(20, 3), randn(20, 3, seed=1)
    sb3.proba_distribution(outputs, LOG_STD)
    assert distribution.log_prob(outputs, actions, LOG_STD).equal(sb3.log_prob(actions))
    assert distribution.entropy(outputs, LOG_STD).equal(sb3.entropy())
    assert distribution.act(outputs, None, LOG_STD).equal(sb3.mode())
    assert distribution.expand_log_std(LOG_STD, LATENT_DIM) is LOG_STD


@pytest.mark.parametrize("arguments", GSDE)
def test_densities_entropies_and_modes_of_gsde_are_those_of_sb3(arguments):
    distribution, sb3 = make_action_distribution(BOX, gsde(**arguments)), gsde(**arguments)
    assert type(distribution) is StateDependentGaussian
    assert distribution.state_dependent
    assert distribution.squashes == arguments.get("squash_output", False)
    outputs, latent, actions = randn(20, 3), randn(20, LATENT_DIM, seed=1), randn(20, 3, seed=2).tanh()
    log_std = distribution.expand_log_std(LOG_STD, LATENT_DIM)
    assert log_std.shape == ((LATENT_DIM, 1) if arguments.get("full_std") is False else (LATENT_DIM, 3))
    sb3.proba_distribution(outputs, log_std, latent)
    assert distribution.log_prob(outputs, actions, LOG_STD, latent).equal(sb3.log_prob(actions))
    entropy = distribution.entropy(outputs, LOG_STD, latent)
    assert entropy is None if distribution.squashes else entropy.equal(sb3.entropy())
    assert distribution.act(outputs, None, LOG_STD, latent).equal(sb3.mode())


@pytest.mark.parametrize("kind", LOGIT_SPACES)
def test_sampled_frequencies_are_the_probabilities(kind):
    """In 20,000 draws no frequency is off by more than 4 standard errors of a fair coin."""
    distribution, n = make_action_distribution(LOGIT_SPACES[kind]), 20_000
    logits = randn(1, distribution.n_outputs, seed=3)
    outputs = logits.expand(n, -1)
    actions = distribution.act(outputs, distribution.noise(n, th.Generator().manual_seed(0)))
    samples, counts = actions.reshape(n, -1).unique(dim=0, return_counts=True)
    assert len(samples) == {Categorical: 4, MultiCategorical: 6, Bernoulli: 8}[kind]
    probabilities = distribution.log_prob(logits.expand(len(samples), -1), samples).exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)
    assert (counts / n - probabilities).abs().max() < 4 * 0.5 / n**0.5


def test_sampled_moments_are_those_of_a_gaussian():
    distribution, n = make_action_distribution(BOX), 20_000
    means = th.tensor([1.0, -1.0, 0.0])
    actions = distribution.act(means.expand(n, -1), distribution.noise(n, th.Generator().manual_seed(0)), LOG_STD)
    assert th.allclose(actions.mean(dim=0), means, atol=0.05)
    assert th.allclose(actions.std(dim=0), LOG_STD.exp(), rtol=0.03)


@pytest.mark.parametrize("arguments", GSDE)
def test_sampled_moments_are_those_of_gsde(arguments):
    """Before a tanh; features are the same in all states, exploration matrices are not."""
    distribution, sb3, n = make_action_distribution(BOX, gsde(**arguments)), gsde(**arguments), 20_000
    means, latent = th.tensor([0.3, -0.3, 0.0]), 0.3 * randn(1, LATENT_DIM, seed=4)
    noise = distribution.noise(n, th.Generator().manual_seed(0), LATENT_DIM)
    assert noise.shape == (n, LATENT_DIM, 3)
    log_std = LOG_STD - 1
    actions = distribution.act(means.expand(n, -1), noise, log_std, latent.expand(n, -1))
    actions = actions.double().atanh().float() if distribution.squashes else actions
    sb3.proba_distribution(means[None], distribution.expand_log_std(log_std, LATENT_DIM), latent)
    assert th.allclose(actions.mean(dim=0), means, atol=0.02)
    assert th.allclose(actions.std(dim=0), sb3.distribution.stddev[0], rtol=0.03)


def test_a_rollout_draws_its_noise_at_once():
    distribution, generators = make_action_distribution(BOX), [th.Generator().manual_seed(0) for _ in range(2)]
    steps = distribution.rollout_noise(4, 2, generators[0])
    assert th.cat(list(steps)).equal(distribution.noise(8, generators[1]))


@pytest.mark.parametrize("every, draws", [(-1, [0, 0, 0, 0, 0]), (2, [0, 0, 1, 1, 2]), (1, [0, 1, 2, 3, 4])])
def test_exploration_matrices_are_kept_for_some_steps(every, draws):
    distribution = make_action_distribution(BOX, gsde())
    steps = distribution.rollout_noise(5, 2, th.Generator().manual_seed(0), LATENT_DIM, every)
    assert len(steps) == 5
    for i, j in zip(range(5), range(1, 5), strict=False):
        assert steps[i].equal(steps[j]) == (draws[i] == draws[j])


def test_means_beyond_the_bound_of_their_target_are_pulled_to_it():
    box = spaces.Box(-2.0, 2.0, (1,))
    actions, means = th.tensor([[2.0], [2.0], [-2.0], [1.0]]), th.tensor([[5.0], [-3.0], [-3.0], [3.0]])
    for distribution in (make_action_distribution(box), make_action_distribution(box, StateDependentNoiseDistribution(1))):
        assert distribution.pull_to_bounds(means, actions).flatten().tolist() == [2.0, -3.0, -2.0, 3.0]


def test_outputs_without_bounds_stay_as_they_are():
    outputs, actions = 5 * randn(4, 3), th.full((4, 3), 2.0)
    unbounded = make_action_distribution(spaces.Box(-np.inf, np.inf, (3,)))
    assert unbounded.pull_to_bounds(outputs, actions).equal(outputs)
    for distribution in [
        make_action_distribution(BOX, gsde(squash_output=True)), *map(make_action_distribution, LOGIT_SPACES.values())
    ]:  # fmt: skip
        assert distribution.pull_to_bounds(outputs, actions) is outputs


def test_an_environment_gets_actions_within_its_bounds():
    box = spaces.Box(np.float32([[0.0, -4.0]]), np.float32([[1.0, 4.0]]))
    assert to_env(np.array([[2.0, -3.0]]), box, squashed=False).tolist() == [[[1.0, -3.0]]]
    assert to_env(np.array([[0.0, 0.5]]), box, squashed=True).tolist() == [[[0.5, 2.0]]]
    actions = np.array([3])
    assert to_env(actions, spaces.Discrete(4), squashed=False) is actions


def test_other_action_spaces_are_refused():
    with pytest.raises(ArgumentError):
        make_action_distribution(spaces.Text(3))
