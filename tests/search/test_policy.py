import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3 import A2C, PPO
from torch import nn

from sb3_distill.networks.anatomy import actor_of, critic_of
from sb3_distill.search.policy import ArchitecturePolicy

FIELDS = {"widths": [32, 16], "layer_norm": True, "activation": "relu", "init": "xavier_normal"}


def test_actor_and_critic_have_the_architecture():
    policy = PPO(ArchitecturePolicy, "CartPole-v1", policy_kwargs={"architecture": FIELDS}).policy
    for network in (actor_of(policy), critic_of(policy)):
        kinds = [type(module) for _, module in network.chain()]
        assert kinds == [nn.Flatten, nn.Linear, nn.LayerNorm, nn.ReLU, nn.Linear, nn.LayerNorm, nn.ReLU, nn.Linear]
        assert [m.out_features for _, m in network.chain() if isinstance(m, nn.Linear)][:2] == [32, 16]
    assert actor_of(policy).head.weight.std() < 0.05 < critic_of(policy).head.weight.std()


def test_the_seed_says_the_initialisation():
    first, again, other = (
        PPO(ArchitecturePolicy, "CartPole-v1", seed=seed, policy_kwargs={"architecture": FIELDS}).policy for seed in (0, 0, 1)
    )
    values = [th.cat([value.flatten() for value in one.parameters()]) for one in (first, again, other)]
    assert th.equal(values[0], values[1])
    assert not th.equal(values[0], values[2])


@pytest.mark.parametrize("algorithm, env_id", [(PPO, "CartPole-v1"), (A2C, "Pendulum-v1")])
def test_sb3_trains_saves_and_loads_it(algorithm, env_id, tmp_path):
    model = algorithm(ArchitecturePolicy, env_id, n_steps=64, policy_kwargs={"architecture": FIELDS}).learn(128)
    model.save(tmp_path / "model.zip")
    loaded = algorithm.load(tmp_path / "model.zip")
    observation = model.get_env().reset()
    assert np.array_equal(
        model.predict(observation, deterministic=True)[0], loaded.predict(observation, deterministic=True)[0]
    )
    model.policy.save(tmp_path / "policy.zip")
    assert ArchitecturePolicy.load(tmp_path / "policy.zip").architecture == model.policy.architecture


def test_images_go_through_the_convolutions():
    space, actions = spaces.Box(0, 255, (1, 36, 36), np.uint8), spaces.Discrete(3)
    fields = {"widths": [32], "convolutions": [[8, 5, 2], [16, 3, 2]]}
    policy = ArchitecturePolicy(space, actions, lambda _: 0.0, fields)
    assert [type(module).__name__ for module in policy.features_extractor.layers] == [
        "Conv2d",
        "Tanh",
        "Conv2d",
        "Tanh",
        "Flatten",
    ]
    assert policy.predict(np.zeros((1, 36, 36), np.uint8))[0] in range(3)


def test_a_dict_of_observations_is_taken():
    space = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Discrete(3)})
    policy = ArchitecturePolicy(space, spaces.Discrete(2), lambda _: 0.0, FIELDS)
    assert policy.predict({"a": np.zeros(2, np.float32), "b": 1})[0] in range(2)


def test_what_does_not_fit_is_named():
    vectors, image = gym.make("CartPole-v1").observation_space, spaces.Box(0, 255, (1, 36, 36), np.uint8)
    fields = {"widths": [32], "convolutions": [[8, 5, 2]]}
    with pytest.raises(ValueError, match="needs images"):
        ArchitecturePolicy(vectors, spaces.Discrete(2), lambda _: 0.0, fields)
    with pytest.raises(ValueError, match="do not fit"):
        ArchitecturePolicy(image, spaces.Discrete(2), lambda _: 0.0, {"widths": [8], "convolutions": [[8, 50, 2]]})
    with pytest.raises(ValueError, match="`net_arch` is what the architecture says"):
        PPO(ArchitecturePolicy, "CartPole-v1", policy_kwargs={"net_arch": [64]})
