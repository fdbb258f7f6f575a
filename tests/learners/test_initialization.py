"""Initial parameters: the laws of the schemes, and one generator that decides."""

import pytest
import torch as th
from perceptrons import ACTIONS, OBSERVATIONS
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from sb3_distill.learners import initialization
from sb3_distill.learners.distribution import LearnerDistribution
from sb3_distill.networks.anatomy import Network


def test_learners_differ_and_the_generator_decides():
    sampler = LearnerDistribution().bind(ActorCriticPolicy, {}, OBSERVATIONS, ACTIONS)
    one, two = (sampler.sample(3, th.Generator().manual_seed(1)).groups[0].params for _ in range(2))
    for name, value in one.items():
        th.testing.assert_close(value, two[name], rtol=0, atol=0)
    weight = one["latent.0.weight"]
    assert not th.allclose(weight[0], weight[1])


def test_batched_initialisation_has_sb3s_law():
    sampler = LearnerDistribution().bind(ActorCriticPolicy, {}, OBSERVATIONS, ACTIONS)
    params = sampler.sample(500, th.Generator().manual_seed(0)).groups[0].params
    hidden, last = params["latent.2.weight"], params["head.weight"]
    eye = th.eye(64).expand(500, 64, 64)
    th.testing.assert_close(hidden @ hidden.mT, 2 * eye, atol=1e-4, rtol=0)
    th.testing.assert_close(last @ last.mT, 1e-4 * th.eye(3).expand(500, 3, 3), atol=1e-8, rtol=0)
    assert (params["latent.0.bias"] == 0).all()
    # Entries of a uniform orthogonal matrix of size 64 have variance 1 / 64.
    assert abs(hidden.var() / (2 / 64) - 1) < 0.02
    assert hidden.mean(dim=0).abs().max() < 0.05


def test_tall_matrices_are_those_of_the_qr_decomposition():
    shape, cpu = (3, 8, 64), th.device("cpu")
    q, r = th.linalg.qr(th.randn((3, 64, 8), generator=th.Generator().manual_seed(0)))
    expected = 2 * (q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)).mT
    th.testing.assert_close(initialization.orthogonal(shape, 2.0, th.Generator().manual_seed(0), cpu), expected)


def test_other_policies_draw_their_own_parameters():
    class Odd(ActorCriticPolicy):
        def _build(self, lr_schedule):
            super()._build(lr_schedule)
            nn.init.constant_(self.action_net.weight, 0.25)

    state = th.get_rng_state()
    params = (
        LearnerDistribution().bind(Odd, {}, OBSERVATIONS, ACTIONS).sample(2, th.Generator().manual_seed(0)).groups[0].params
    )
    assert (params["head.weight"] == 0.25).all()
    assert not th.allclose(params["latent.0.weight"][0], params["latent.0.weight"][1])
    assert th.equal(state, th.get_rng_state()), "the global generator must not notice"


@pytest.mark.parametrize("scheme", initialization.INITIALIZATIONS)
def test_initialisations_have_the_variance_of_torchs(scheme):
    network = Network(nn.Flatten(), nn.Linear(40, 30), nn.Linear(30, 20))
    params = initialization.draw(network, 300, th.Generator().manual_seed(0), scheme, hidden_gain=1.5, last_gain=0.5)
    for name, module, gain in (("latent", network.latent, 1.5), ("head", network.head, 0.5)):
        reference = th.empty(module.weight.shape)
        if scheme == "pytorch":
            variance = nn.Linear(module.in_features, 2000).weight.var()
        else:
            kwargs = {"nonlinearity": "linear"} if scheme.startswith("kaiming") else {"gain": gain}
            draws = [getattr(nn.init, f"{scheme}_")(reference.clone(), **kwargs).var() for _ in range(100)]
            variance = th.stack(draws).mean() * (gain**2 if scheme.startswith("kaiming") else 1)
        assert abs(params[f"{name}.weight"].var() / variance - 1) < 0.05


@pytest.mark.parametrize("shape", [(7, 30, 40), (7, 40, 30), (7, 80, 10), (7, 8, 3, 3, 3)])
def test_rows_or_columns_are_orthonormal(shape):
    weights = initialization.orthogonal(shape, 1.5, th.Generator().manual_seed(0), th.device("cpu")).flatten(2).double()
    products = weights @ weights.mT if weights.shape[1] <= weights.shape[2] else weights.mT @ weights
    eye = th.eye(products.shape[-1], dtype=th.double).expand_as(products)
    th.testing.assert_close(products, 1.5**2 * eye, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "scheme, bound",
    [("xavier_uniform", 0.7 * (6 / (18 + 36)) ** 0.5), ("kaiming_uniform", 0.7 * (3 / 18) ** 0.5)],
)
def test_uniform_weights_fill_their_interval(scheme, bound):
    """A convolution of 2 to 4 channels, 3 x 3: fans of 18 and 36."""
    weights = initialization.SCHEMES[scheme]((500, 4, 2, 3, 3), 0.7, th.Generator().manual_seed(0), th.device("cpu"))
    assert weights.abs().max() <= bound
    assert weights.abs().max() > 0.999 * bound
    # The fourth moment of a uniform law is 9/5 of its squared variance.
    assert (weights**4).mean() / weights.var() ** 2 == pytest.approx(1.8, rel=0.02)


@pytest.mark.parametrize("scheme", ["xavier_normal", "kaiming_normal"])
def test_normal_weights_have_the_moments_of_a_normal_law(scheme):
    weights = initialization.SCHEMES[scheme]((500, 4, 2, 3, 3), 0.7, th.Generator().manual_seed(0), th.device("cpu"))
    assert weights.mean().item() == pytest.approx(0, abs=0.01)
    assert (weights**4).mean() / weights.var() ** 2 == pytest.approx(3, rel=0.05)


def test_learners_are_drawn_independently_and_in_the_order_of_the_generator():
    network = Network(nn.Flatten(), nn.Linear(6, 5), nn.Linear(5, 4))
    generator = th.Generator().manual_seed(0)
    first, second = (initialization.draw(network, 400, generator, "orthogonal") for _ in range(2))
    weights = first["latent.weight"].flatten(1)
    correlations = th.corrcoef(weights.T) - th.eye(30)
    assert correlations.abs().max() < 0.35  # entries of an orthogonal matrix are nearly, not quite, independent
    assert not weights.equal(second["latent.weight"].flatten(1))
    again = initialization.draw(network, 400, th.Generator().manual_seed(0), "orthogonal")
    assert all(value.equal(again[name]) for name, value in first.items())


def test_what_a_scheme_does_not_draw():
    class Scaled(nn.Linear):
        pass

    network = Network(nn.Flatten(), nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Tanh()), nn.Linear(5, 4))
    params = initialization.draw(network, 2, th.Generator().manual_seed(0), "kaiming_normal")
    assert (params["latent.1.weight"] == 1).all()
    assert all((params[f"{name}.bias"] == 0).all() for name in ("latent.0", "latent.1", "head"))
    assert initialization.is_plain(network)
    own = Network(nn.Flatten(), Scaled(6, 5), nn.Linear(5, 4))
    assert not initialization.is_plain(own)
    assert set(initialization.draw(own, 2, th.Generator(), "orthogonal")) == {"head.weight", "head.bias"}
