"""The critic: SB3's values, in chunks, trained apart from what the dataset teaches."""

import numpy as np
import pytest
import torch as th
from contract import BOX, DISCRETE, OBSERVATIONS, make, spaces_env
from helpers import OwnExtractor
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import obs_as_tensor

from sb3_distill.networks.precision import Precision
from sb3_distill.online import critic as module
from sb3_distill.online.critic import Critic, evaluates_plainly

PLAIN = Precision(None, th.device("cpu"))


def critic_of_model(model):
    return Critic(model.policy, set(), 1e-3, PLAIN)


@pytest.mark.parametrize("space", OBSERVATIONS.values(), ids=OBSERVATIONS)
def test_values_are_those_of_the_policy(space):
    model = make(spaces_env(space))
    arrays = model.env.reset()
    observations = obs_as_tensor(arrays, model.device)
    expected = model.policy.predict_values(observations).flatten()
    critic = critic_of_model(model)
    th.testing.assert_close(critic(observations), expected)
    th.testing.assert_close(critic.values_from_arrays(arrays), expected)
    th.testing.assert_close(critic.values_from_arrays(arrays, rollout=True), expected)


@pytest.mark.parametrize("space", [OBSERVATIONS["Box"], OBSERVATIONS["Dict"]], ids=["Box", "Dict"])
def test_chunks_change_nothing(space, monkeypatch):
    model = make(spaces_env(space, n_envs=8))
    arrays = model.env.reset()
    critic = critic_of_model(model)
    whole = critic.values_from_arrays(arrays)
    sizes = []
    forward = critic._forward

    def count(observations):
        values = forward(observations)
        sizes.append(values.numel())
        return values

    monkeypatch.setattr(critic, "_forward", count)
    monkeypatch.setattr(module, "CHUNK", 3)
    th.testing.assert_close(critic.values_from_arrays(arrays), whole)
    assert sizes == [3, 3, 2]


def test_values_of_shared_features():
    policy = ActorCriticPolicy(BOX, DISCRETE, lambda _: 0.0, features_extractor_class=OwnExtractor)
    critic = Critic(policy, set(), 1e-3, PLAIN)
    observations = th.randn(6, 3)
    features = policy.extract_features(observations)
    expected = policy.predict_values(observations).flatten()
    th.testing.assert_close(critic(observations, features), expected)
    th.testing.assert_close(critic.values_from_features(features), expected)


def test_a_policy_with_values_of_its_own_is_asked_for_them():
    class Constant(ActorCriticPolicy):
        def predict_values(self, obs):
            return th.full((len(obs), 1), 7.0)

        def forward(self, obs, deterministic=False):
            actions, values, log_prob = super().forward(obs, deterministic)
            return actions, th.full_like(values, 3.0), log_prob

    policy = make(policy=Constant).policy
    assert not evaluates_plainly(policy)
    critic = Critic(policy, set(), 1e-3, PLAIN)
    arrays = np.zeros((5, 3), dtype=np.float32)
    assert critic.values_from_arrays(arrays).tolist() == [7.0] * 5
    assert critic.values_from_arrays(arrays, rollout=True).tolist() == [3.0] * 5  # as in SB3, whose rollouts call `forward`


def test_what_is_taught_is_not_the_critics():
    policy = make().policy
    taught = {id(parameter) for name, parameter in policy.named_parameters() if "value" not in name}
    critic = Critic(policy, taught, 0.5, PLAIN)
    names = {id(parameter): name for name, parameter in policy.named_parameters()}
    assert all("value" in names[id(parameter)] for parameter in critic.parameters)
    (group,) = policy.optimizer.param_groups
    assert [id(parameter) for parameter in group["params"]] == [id(parameter) for parameter in critic.parameters]
    assert group["lr"] == 0.5


def test_an_optimizer_of_the_users_is_kept():
    kwargs = dict(net_arch=[8], optimizer_class=th.optim.SGD, optimizer_kwargs=dict(momentum=0.9))
    policy = make(policy_kwargs=kwargs).policy
    Critic(policy, set(), 0.1, PLAIN)
    assert type(policy.optimizer) is th.optim.SGD
    assert policy.optimizer.defaults["momentum"] == 0.9
