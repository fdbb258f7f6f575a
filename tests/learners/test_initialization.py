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
    one, two = (sampler.sample(3, th.Generator().manual_seed(1)).groups[0][1] for _ in range(2))
    for name, value in one.items():
        th.testing.assert_close(value, two[name], rtol=0, atol=0)
    weight = one["latent.0.weight"]
    assert not th.allclose(weight[0], weight[1])


def test_batched_initialisation_has_sb3s_law():
    sampler = LearnerDistribution().bind(ActorCriticPolicy, {}, OBSERVATIONS, ACTIONS)
    params = sampler.sample(500, th.Generator().manual_seed(0)).groups[0][1]
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
    params = LearnerDistribution().bind(Odd, {}, OBSERVATIONS, ACTIONS).sample(2, th.Generator().manual_seed(0)).groups[0][1]
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
