"""Encoders are rolled back level by level, saved, and checked against the learners behind them."""

import numpy as np
import pytest
import torch as th
from helpers import ImageEnv
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from sb3_distill import PPMO, DatasetError, DistilledPolicy, SyntheticDataset, evaluate_learners, make_vec_env

SMALL = dict(n_steps=32, batch_size=128, n_epochs=2, policy_kwargs=dict(net_arch=[16, 12]), seed=0)


def test_rollback_starts_from_the_level_above(tmp_path):
    env = make_vec_env("NDCartPole1D-v0", 8, seed=0)
    above = PPMO("MlpPolicy", env, encoder_layers=2, **SMALL).learn(2_000)
    above.dataset.save(tmp_path / "l2.safetensors")
    below = PPMO("MlpPolicy", env, encoder_layers=1, encoder_from=tmp_path / "l2.safetensors", **SMALL)
    held = dict(below.dataset.encoder.named_parameters())
    assert len(held) == 2
    assert below.dataset.encoder_layers == below.dataset.info.encoder_layers == 1
    assert all(value.equal(above.dataset.encoder.get_parameter(name)) for name, value in held.items())
    assert below.dataset.labels.equal(above.dataset.labels)
    assert below.dataset.info.timesteps == above.dataset.info.timesteps
    below.learn(500)
    full = PPMO("MlpPolicy", env, encoder_from=below.dataset, **SMALL)
    assert full.dataset.encoder is None
    assert full.dataset.encoder_layers == 0
    full.learn(500)


def test_what_cannot_be_started_from(tmp_path):
    env = make_vec_env("NDCartPole1D-v0", 8, seed=0)
    given = PPMO("MlpPolicy", env, encoder_layers=1, **SMALL).dataset
    with pytest.raises(
        ValueError, match="`encoder_from` must have more layers in its encoder than encoder_layers=1, it has 1; go on"
    ):
        PPMO("MlpPolicy", env, encoder_layers=1, encoder_from=given, **SMALL)
    with pytest.raises(ValueError, match="than encoder_layers=2, it has 1$"):
        PPMO("MlpPolicy", env, encoder_layers=2, encoder_from=given, **SMALL)
    with pytest.raises(ValueError, match="`initial_dataset` has 1 layers in its encoder, not encoder_layers=2"):
        PPMO("MlpPolicy", env, encoder_layers=2, initial_dataset=given, **SMALL)
    with pytest.raises(ValueError, match="exclude each other"):
        PPMO("MlpPolicy", env, encoder_from=given, initial_dataset=given, **SMALL)
    other = {**SMALL, "policy_kwargs": dict(net_arch=[20, 12])}
    message = r"first 1 layers of its learners.*`latent.0.weight` is \(20, 4\) instead of \(16, 4\)"
    for how in ("encoder_from", "initial_dataset"):
        with pytest.raises(ValueError, match=message):
            PPMO("MlpPolicy", env, **{how: given}, **other)
    # Without `encoder_layers` it is the dataset's.
    assert PPMO("MlpPolicy", env, initial_dataset=given, **SMALL).encoder_layers == 1


def test_learners_that_do_not_fit_the_encoder(tmp_path):
    env = make_vec_env("NDCartPole1D-v0", 8, seed=0)
    dataset = PPMO("MlpPolicy", env, encoder_layers=1, **SMALL).dataset
    with pytest.raises(DatasetError, match=r"`latent.0.weight` is \(64, 4\) instead of \(16, 4\)"):
        DistilledPolicy.from_dataset(dataset, policy="MlpPolicy")
    # Shapes do not tell activations, so they are recorded.
    dataset.save(tmp_path / "set.safetensors")
    for given in (dataset, tmp_path / "set.safetensors"):
        with pytest.raises(DatasetError, match=r"`latent.1` is ReLU instead of Tanh"):
            DistilledPolicy.from_dataset(given, policy_kwargs=dict(net_arch=[16], activation_fn=th.nn.ReLU))
    relu = {**SMALL, "policy_kwargs": {**SMALL["policy_kwargs"], "activation_fn": th.nn.ReLU}}
    with pytest.raises(ValueError, match=r"`latent.1` is ReLU instead of Tanh"):
        PPMO("MlpPolicy", env, initial_dataset=dataset, **relu)
    # Behind the encoder they are free.
    DistilledPolicy.from_dataset(dataset, policy="MlpPolicy", policy_kwargs=dict(net_arch=[16, 30, 30]))
    wrong = {"policy_kwargs": dict(net_arch=[32])}
    with pytest.raises(ValueError, match=r"is \(32, 4\) instead of \(16, 4\)"):
        PPMO("MlpPolicy", env, encoder_layers=1, learner_distribution=wrong, **SMALL)
    with pytest.raises(ValueError, match="that can be drawn start before its end"):
        PPMO("MlpPolicy", env, encoder_layers=1, learner_distribution={"width": [16, 32]}, **SMALL)
    with pytest.raises(ValueError, match="that can be drawn start before its end"):
        evaluate_learners(dataset, 2, 1, learner_distribution={"depth": 1})


def test_a_model_with_an_encoder_is_saved_and_goes_on(tmp_path):
    def run():
        env = make_vec_env("NDCartPole1D-v0", 8, seed=0)
        PPMO("MlpPolicy", env, encoder_layers=2, **SMALL).learn(512).save(tmp_path / "model.zip")
        model = PPMO.load(tmp_path / "model.zip", env)
        assert model.encoder_layers == model.dataset.encoder_layers == 2
        return model.learn(512, reset_num_timesteps=False).dataset.state_dict()

    first, second = run(), run()
    with pytest.raises(ValueError, match="`encoder_layers` cannot change from 2 to 1 when a model is loaded"):
        PPMO.load(tmp_path / "model.zip", encoder_layers=1)
    assert any(name.startswith("encoder.") for name in first)
    assert all(value.equal(second[name]) for name, value in first.items())


def test_a_damaged_encoder_in_a_file(tmp_path):
    env = make_vec_env("NDCartPole1D-v0", 8, seed=0)
    dataset = PPMO("MlpPolicy", env, encoder_layers=1, **SMALL).dataset
    dataset.info.encoder_layers = 0
    dataset.save(tmp_path / "set.safetensors")
    with pytest.raises(DatasetError, match="speak of 0 encoder layers, the file has 2 tensors"):
        SyntheticDataset.load(tmp_path / "set.safetensors")


def largest_probability(model):
    learners = model.dataset.teach(model.distiller.sampler.sample(4, th.Generator().manual_seed(0)))
    observations = th.as_tensor(np.stack([ImageEnv().reset(seed=seed)[0] for seed in range(4)]))
    return float(model.parts.actor.outputs(learners, observations).outputs.detach().softmax(1).max())


def test_an_encoder_that_was_all_there_was_starts_a_new_dataset():
    kwargs = dict(n_steps=16, batch_size=16, n_epochs=1, inner_loop="ridge", seed=0)
    direct = PPMO("CnnPolicy", ImageEnv(), encoder_layers=5, n_steps=16, batch_size=16, seed=0).learn(16)
    below = PPMO("CnnPolicy", ImageEnv(), encoder_layers=3, encoder_from=direct.dataset, **kwargs)
    assert below.dataset.inner_loop.name == "ridge"  # what the set above had has never taught anything
    assert below.dataset.info.timesteps == direct.dataset.info.timesteps
    held = dict(below.dataset.encoder.named_parameters())
    assert all(value.equal(direct.dataset.encoder.get_parameter(name)) for name, value in held.items())
    steps = PPMO("CnnPolicy", ImageEnv(), encoder_layers=4, encoder_from=direct.dataset, n_steps=16, batch_size=16, seed=0)
    assert largest_probability(steps) < 0.95  # without tempering it is 1


@pytest.mark.parametrize("rate", [None, 20.0])
def test_a_level_below_explores_whatever_the_one_above_is_sure_of(rate):
    kwargs = dict(n_steps=16, batch_size=16, n_epochs=1, seed=0)
    above = PPMO("CnnPolicy", ImageEnv(), encoder_layers=3, **kwargs).dataset
    with th.no_grad():
        above.labels *= 4
        above.learned["log_inner_learning_rates"] += 4
    below = PPMO("CnnPolicy", ImageEnv(), encoder_layers=2, encoder_from=above, inner_learning_rate=rate, **kwargs).learn(16)
    assert (largest_probability(below) < 0.95) == (rate is None)
    assert below.dataset.info.timesteps == (32 if rate is None else 16)  # frames were looked at first


class Normed(BaseFeaturesExtractor):
    def __init__(self, observation_space):
        super().__init__(observation_space, 5)
        self.layers = nn.Sequential(nn.Linear(observation_space.shape[0], 5), nn.BatchNorm1d(5), nn.ReLU())

    def forward(self, observations):
        return self.layers(observations)


def test_batch_norm_statistics_go_along():
    env = make_vec_env("NDCartPole1D-v0", 8, seed=0)
    kwargs = {**SMALL, "policy_kwargs": dict(features_extractor_class=Normed, net_arch=[9])}
    above = PPMO("MlpPolicy", env, encoder_layers=2, **kwargs).learn(512)
    for given in (dict(encoder_layers=1, encoder_from=above.dataset), dict(initial_dataset=above.dataset)):
        model = PPMO("MlpPolicy", env, **given, **kwargs)
        for name, value in above.dataset.statistics.items():
            assert value.abs().sum() > 0
            assert model.dataset.statistics[name].equal(value)
            assert model.parts.policy_actor.network.get_buffer(name) is model.dataset.statistics[name]
