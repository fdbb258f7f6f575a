"""Networks that keep a running mean and variance of what they see."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from sb3_distill import PPMO, DistilledPolicy, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.dagger import DAgger, Expert


class Far(gym.Env):
    """Observations around 100."""

    observation_space, action_space = spaces.Box(90, 110, (3,), np.float32), spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.look(), {}

    def look(self):
        return self.np_random.uniform(90, 110, 3).astype(np.float32)

    def step(self, action):
        self.t += 1
        return self.look(), float(action), self.t > 5, False, {}


class Running(BaseFeaturesExtractor):
    """Keeps mean and variance in buffers, changed in place; the count is a whole number."""

    replaces = False

    def __init__(self, space):
        super().__init__(space, space.shape[0])
        self.register_buffer("mean", th.zeros(space.shape[0]))
        self.register_buffer("var", th.ones(space.shape[0]))
        self.register_buffer("count", th.zeros((), dtype=th.long))

    def update(self, x):
        with th.no_grad():
            count = self.count + len(x)
            share = len(x) / count
            mean, var = self.mean + share * (x.mean(0) - self.mean), self.var + share * (x.var(0) - self.var)
            if self.replaces:
                self.mean, self.var, self.count = mean, var, count
            else:
                self.mean.copy_(mean), self.var.copy_(var), self.count.copy_(count)

    def forward(self, x):
        if self.training and len(x) > 1:
            self.update(x)
        return (x - self.mean) / self.var.sqrt()


class Replacing(Running):
    """Puts new tensors in the place of the old ones."""

    replaces = True


class Always(Running):
    """Changes whenever it is asked."""

    def forward(self, x):
        self.update(x)
        return (x - self.mean) / self.var.sqrt()


class Hidden(BaseFeaturesExtractor):
    """Keeps its statistics where nobody sees them."""

    def __init__(self, space):
        super().__init__(space, space.shape[0])
        self.rms = RunningMeanStd(shape=space.shape)

    def forward(self, x):
        if self.training:
            self.rms.update(x.detach().cpu().numpy())
        return (x - th.as_tensor(self.rms.mean).float()) / th.as_tensor(self.rms.var).float().sqrt()


def network(extractor):
    return dict(features_extractor_class=extractor, net_arch=[8])


@pytest.mark.parametrize("extractor", [Running, Replacing])
def test_statistics_follow_are_shared_and_travel(extractor, tmp_path):
    model = PPMO("MlpPolicy", make_vec_env(Far, 4, seed=0), n_steps=64, n_epochs=1, policy_kwargs=network(extractor), seed=0)
    model.learn(1_024)
    mean = model.policy.pi_features_extractor.mean
    assert abs(float(mean.mean()) - 100) < 3
    shared = model.dataset.statistics
    assert th.equal(shared["features.mean"], mean)
    assert int(shared["features.count"]) > 0
    model.dataset.save(tmp_path / "set.safetensors")
    dataset = SyntheticDataset.load(tmp_path / "set.safetensors")
    policy = DistilledPolicy.from_dataset(dataset, "MlpPolicy", network(extractor), seed=1)
    assert th.equal(policy.pi_features_extractor.mean, mean)
    observations = np.random.default_rng(0).uniform(90, 110, (5, 3)).astype(np.float32)
    policy.predict(observations)
    assert th.equal(policy.pi_features_extractor.mean, mean)
    arguments = dict(policy="MlpPolicy", policy_kwargs=network(extractor), env=lambda n: make_vec_env(Far, n))
    assert evaluate_learners(dataset, 2, 2, True, **arguments).returns.shape == (2, 2)
    again = PPMO(
        "MlpPolicy", make_vec_env(Far, 4, seed=1), n_steps=8, n_epochs=1, policy_kwargs=network(extractor),
        initial_dataset=dataset,
    ).learn(32)  # fmt: skip
    assert (again.dataset.statistics["features.mean"] - mean).abs().max() < 2  # the count came along


@pytest.mark.parametrize(
    "extractor, told",
    [
        (Always, r"`features\.\w+` of the actor changes when it only acts: change it where `self.training` is true"),
        (Hidden, r"`features\.rms\.\w+` of the actor changes in training mode and is no buffer: .*`register_buffer`"),
    ],
)
def test_statistics_that_cannot_be_shared_are_refused_by_name(extractor, told):
    with pytest.raises(ValueError, match=told):
        PPMO("MlpPolicy", make_vec_env(Far, 2), n_steps=8, policy_kwargs=network(extractor))
    agent = PPO("MlpPolicy", Far(), n_steps=8, batch_size=8, device="cpu")
    with pytest.raises(ValueError, match=told):
        DAgger("MlpPolicy", make_vec_env(Far, 2), Expert(agent.policy), policy_kwargs=network(extractor))
