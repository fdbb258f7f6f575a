"""Policies of SB3, policies that users derive from them, and options of both."""

import copy

import numpy as np
import pytest
import torch as th
from contract import DISCRETE, ROLLOUT, assert_acts, make, spaces_env, through_a_file
from gymnasium import spaces
from helpers import SMALL, small_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from sb3_distill import PPMO, DistilledPolicy, evaluate_learners, make_vec_env


class Extractor(BaseFeaturesExtractor):
    def __init__(self, observation_space, features_dim=5):
        super().__init__(observation_space, features_dim)
        self.linear = th.nn.Linear(observation_space.shape[0], features_dim)

    def forward(self, observations):
        return th.relu(self.linear(observations)).clamp(max=3.0)


class Policy(ActorCriticPolicy):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{"net_arch": [6], "activation_fn": th.nn.SiLU, **kwargs})


OWN_EXTRACTOR = dict(features_extractor_class=Extractor, net_arch=[8])


@pytest.mark.parametrize(
    "policy, policy_kwargs, widths",
    [
        pytest.param("MlpPolicy", dict(net_arch=[]), [], id="linear"),
        pytest.param("MlpPolicy", dict(net_arch=dict(pi=[4, 5], vf=[6])), [4, 5], id="pi-vf"),
        pytest.param("MlpPolicy", dict(net_arch=dict(pi=[], vf=[6])), [], id="vf-only"),
        pytest.param("MlpPolicy", dict(net_arch=[8], share_features_extractor=True), [8], id="shared"),
        pytest.param("MlpPolicy", dict(net_arch=[8], share_features_extractor=False), [8], id="separate"),
        pytest.param("MlpPolicy", dict(net_arch=[8], activation_fn=th.nn.ReLU), [8], id="ReLU"),
        pytest.param("MlpPolicy", dict(net_arch=[8], activation_fn=th.nn.Softsign), [8], id="Softsign"),
        pytest.param("MlpPolicy", dict(net_arch=[8], ortho_init=False), [8], id="not_orthogonal"),
        pytest.param("MlpPolicy", dict(net_arch=[8], optimizer_class=th.optim.RMSprop), [8], id="RMSprop"),
        pytest.param("MlpPolicy", {**OWN_EXTRACTOR, "share_features_extractor": True}, [5, 8], id="shared_extractor"),
        pytest.param(
            "MlpPolicy", {**OWN_EXTRACTOR, "features_extractor_kwargs": dict(features_dim=7)}, [7, 8], id="extractor"
        ),
        pytest.param("MlpPolicy", {**OWN_EXTRACTOR, "ortho_init": False}, [5, 8], id="extractor-not_orthogonal"),
        pytest.param(Policy, {}, [6], id="subclass"),
        pytest.param(Policy, dict(net_arch=[9]), [9], id="subclass-net_arch"),
    ],
)
def test_policies(policy, policy_kwargs, widths, tmp_path):
    given = copy.deepcopy(policy_kwargs)
    model = make(policy=policy, policy_kwargs=policy_kwargs)
    before = copy.deepcopy(model.policy.state_dict())
    model.learn(4 * ROLLOUT)
    assert policy_kwargs == given == model.policy_kwargs
    for part in ("action_net", "value_net"):
        assert not th.equal(model.policy.state_dict()[f"{part}.weight"], before[f"{part}.weight"])
    raw = spaces_env().reset()
    model.save(tmp_path / "model")
    loaded = PPMO.load(tmp_path / "model", env=spaces_env())
    model.policy.save(tmp_path / "policy")
    alone = type(model.policy).load(tmp_path / "policy")
    for actor in (loaded, alone):
        np.testing.assert_array_equal(actor.predict(raw, deterministic=True)[0], model.predict(raw, deterministic=True)[0])
    assert loaded.learn(ROLLOUT, reset_num_timesteps=False).dataset.is_finite()
    named = policy == "MlpPolicy" and "features_extractor_class" not in policy_kwargs
    taught = through_a_file(model, tmp_path) if named else through_a_file(model, tmp_path, policy, policy_kwargs)
    actor = [taught.pi_features_extractor, taught.mlp_extractor.policy_net]
    assert [layer.out_features for part in actor for layer in part.modules() if isinstance(layer, th.nn.Linear)] == widths
    assert_acts(taught, raw, DISCRETE)


@pytest.mark.parametrize("share", [True, False], ids=["shared", "separate"])
def test_image_policies(share, tmp_path):
    space = spaces.Box(0, 1, (1, 36, 36), np.float32)
    kwargs = dict(net_arch=[8], features_extractor_kwargs=dict(features_dim=6), share_features_extractor=share)
    model = make(spaces_env(space), policy_kwargs={**kwargs, "normalize_images": False})
    policy = through_a_file(model.learn(2 * ROLLOUT), tmp_path)
    assert policy.features_extractor.features_dim == 6
    assert not policy.normalize_images
    assert_acts(policy, spaces_env(space).reset(), DISCRETE)


@pytest.mark.parametrize("kwargs", [{}, {"use_expln": True}, {"full_std": False}, {"squash_output": True}])
def test_state_dependent_exploration(kwargs, tmp_path):
    settings = {**SMALL, "policy_kwargs": dict(net_arch=[16], **kwargs)}
    model = PPMO("MlpPolicy", make_vec_env("Pendulum-v1", 4), use_sde=True, sde_sample_freq=8, n_instances=4, **settings)
    model.learn(256)
    model.dataset.save(tmp_path / "set.safetensors")
    for deterministic in (False, True):
        assert np.isfinite(evaluate_learners(tmp_path / "set.safetensors", 2, 2, deterministic).returns).all()
    assert DistilledPolicy.from_dataset(tmp_path / "set.safetensors").predict(np.zeros(3, dtype=np.float32))[0].shape == (1,)


def test_batch_norm_statistics_are_shared_and_travel(tmp_path):
    class Extractor(BaseFeaturesExtractor):
        def __init__(self, space):
            super().__init__(space, 8)
            self.norm = th.nn.BatchNorm1d(8)
            self.dropout = th.nn.Dropout(0.5)

        def forward(self, x):
            return self.dropout(self.norm(x))

    settings = {**SMALL, "policy_kwargs": dict(net_arch=[16], features_extractor_class=Extractor)}
    model = PPMO("MlpPolicy", small_env(), **settings).learn(512)
    model.dataset.save(tmp_path / "set.safetensors")
    mean = model.policy.features_extractor.norm.running_mean
    assert (mean != 0).any()
    policy = DistilledPolicy.from_dataset(
        tmp_path / "set.safetensors", "MlpPolicy", dict(net_arch=[16], features_extractor_class=Extractor)
    )
    assert th.equal(policy.features_extractor.norm.running_mean, mean)


def test_custom_networks_are_split_into_what_is_taught_and_what_is_trained():
    class Body(th.nn.Module):
        def __init__(self, width):
            super().__init__()
            self.latent_dim_pi, self.latent_dim_vf = 12, 10
            self.one = th.nn.Sequential(th.nn.Linear(width, 12), th.nn.Tanh())
            self.other = th.nn.Sequential(th.nn.Linear(width, 10), th.nn.Tanh())

        def forward_actor(self, x):
            return self.one(x)

        def forward_critic(self, x):
            return self.other(x)

        def forward(self, x):
            return self.forward_actor(x), self.forward_critic(x)

    class Own(ActorCriticPolicy):
        def _build_mlp_extractor(self):
            self.mlp_extractor = Body(self.features_dim)

    model = PPMO(Own, small_env(), **{**SMALL, "policy_kwargs": {}})
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    model.learn(512)
    changed = {name for name, value in model.policy.state_dict().items() if not th.equal(value, before[name])}
    assert {f"mlp_extractor.{part}.0.weight" for part in ("one", "other")} | {
        "action_net.weight",
        "value_net.weight",
    } <= changed
    trained = {id(p) for group in model.policy.optimizer.param_groups for p in group["params"]}
    assert trained == {id(p) for name, p in model.policy.named_parameters() if "other" in name or "value_net" in name}
    assert evaluate_policy(model, small_env(2), 2)[0] > 0
