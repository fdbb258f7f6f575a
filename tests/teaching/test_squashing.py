"""Outputs before a tanh, and outputs that are actions: a set says which its labels are."""

import numpy as np
import pytest
import torch as th
from stable_baselines3 import SAC
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from sb3_distill import PPMO, DistilledPolicy, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.dagger import DAgger, Expert

SQUASHED = dict(use_sde=True, policy_kwargs=dict(squash_output=True))
SMALL = dict(n_steps=32, n_epochs=1, n_instances=8, seed=0)


class Own(BaseFeaturesExtractor):
    def __init__(self, space):
        super().__init__(space, 3)

    def forward(self, observations):
        return observations


def learned(**kwargs):
    dataset = PPMO("MlpPolicy", make_vec_env("Pendulum-v1", 4, seed=0), **SMALL, **kwargs).learn(128).dataset
    dataset.labels.data.mul_(8)  # as after long learning
    return dataset


@pytest.fixture(scope="module")
def observations():
    return make_vec_env("Pendulum-v1", 200, seed=3).reset()


def test_other_layers_squash_as_well(observations, tmp_path):
    learned(**SQUASHED).save(tmp_path / "set.safetensors")
    dataset = SyntheticDataset.load(tmp_path / "set.safetensors")
    wanted = DistilledPolicy.from_dataset(dataset, seed=1).predict(observations, deterministic=True)[0]
    for policy in ("MlpPolicy", None, ActorCriticPolicy):
        taught = DistilledPolicy.from_dataset(dataset, policy, dict(net_arch=[64, 64]), seed=1)
        assert taught.squash_output
        np.testing.assert_allclose(taught.predict(observations, deterministic=True)[0], wanted, atol=1e-5)
    assert DistilledPolicy.from_dataset(dataset, SAC.policy_aliases["MlpPolicy"], seed=1).predict(observations)[0].shape == (
        200,
        1,
    )
    plain = evaluate_learners(dataset, 2, 2, True).returns
    own = dict(policy=ActorCriticPolicy, policy_kwargs=dict(net_arch=[64, 64]))
    for same in (dict(policy_kwargs=dict(net_arch=[64, 64])), dict(learner_distribution=own)):
        np.testing.assert_allclose(evaluate_learners(dataset, 2, 2, True, **same).returns, plain, rtol=1e-3)


def test_a_network_that_a_file_cannot_name_still_says_that_it_squashes(observations, tmp_path):
    network = dict(squash_output=True, features_extractor_class=Own)
    learned(use_sde=True, policy_kwargs=network).save(tmp_path / "set.safetensors")
    dataset = SyntheticDataset.load(tmp_path / "set.safetensors")
    assert dataset.info.policy is None
    taught = DistilledPolicy.from_dataset(dataset, "MlpPolicy", dict(features_extractor_class=Own), seed=1)
    assert taught.squash_output


def test_a_network_that_squashes_otherwise_is_refused():
    squashed, plain = learned(**SQUASHED), learned()
    for use in (
        lambda: DistilledPolicy.from_dataset(squashed, policy_kwargs=dict(squash_output=False)),
        lambda: DistilledPolicy.from_dataset(squashed, DistilledPolicy.from_dataset(plain)),
        lambda: PPMO("MlpPolicy", "Pendulum-v1", initial_dataset=squashed, n_steps=32),
    ):
        with pytest.raises(ValueError, match="outputs that a tanh squashes, and the policy does not squash: give it"):
            use()
    with pytest.raises(ValueError, match="outputs that are actions, and the policy squashes them by a tanh: leave out"):
        PPMO("MlpPolicy", "Pendulum-v1", initial_dataset=plain, n_steps=32, **SQUASHED)
    PPMO("MlpPolicy", "Pendulum-v1", initial_dataset=squashed, n_steps=32, **SQUASHED)
    agent = SAC("MlpPolicy", "Pendulum-v1", buffer_size=10, device="cpu")
    with pytest.raises(ValueError, match="does not squash"):
        DAgger("MlpPolicy", make_vec_env("Pendulum-v1", 2), Expert(agent.policy), initial_dataset=squashed)
    assert th.isfinite(plain.labels).all()
