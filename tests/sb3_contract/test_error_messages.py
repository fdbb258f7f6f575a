"""Bad input is refused with a sentence that says what is wrong."""

from functools import partial

import pytest
from contract import BOX, ROLLOUT, SB3S, VECTORS, make, spaces_env
from gymnasium import spaces
from helpers import SMALL, simplex_dataset, small_env
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy

from sb3_distill import PPMO, SyntheticDataset


@pytest.mark.parametrize(
    "policy, space, message",
    [
        pytest.param("MlpPolicy", VECTORS, "You must use `MultiInputPolicy`", id="Mlp-Dict"),
        pytest.param("CnnPolicy", VECTORS, "You must use `MultiInputPolicy`", id="Cnn-Dict"),
        pytest.param("CnnPolicy", BOX, "NatureCNN only with images", id="Cnn-Box"),
        pytest.param("MultiInputPolicy", BOX, "MlpPolicy", id="MultiInput-Box"),
        pytest.param("Nonsense", BOX, "Nonsense.*MlpPolicy", id="Nonsense"),
        pytest.param(3, BOX, "policy", id="3"),
    ],
)
def test_policies_that_are_refused(policy, space, message):
    with pytest.raises(SB3S, match=message):
        make(spaces_env(space), policy=policy)


def test_recurrent_policies_are_refused():
    class Recurrent(ActorCriticPolicy):
        lstm_actor = None

    with pytest.raises(ValueError, match="recurrent policies are not supported"):
        PPMO(Recurrent, small_env(), **SMALL)


def test_frozen_parameters_are_refused():
    class Frozen(ActorCriticPolicy):
        def _build(self, lr_schedule):
            super()._build(lr_schedule)
            self.mlp_extractor.policy_net.requires_grad_(False)

    with pytest.raises(ValueError, match=r"`latent.0.weight` of the actor is frozen, but learners are drawn anew"):
        PPMO(Frozen, small_env(), **SMALL)


def test_a_zip_of_other_spaces_or_numbers_is_refused(tmp_path):
    make().save(tmp_path / "model")
    load = partial(PPMO.load, tmp_path / "model")
    with pytest.raises(ValueError, match=r"Observation spaces do not match: Box.*\(3,\).* != Box.*\(5,\)"):
        load(env=spaces_env(spaces.Box(-1, 1, (5,))))
    with pytest.raises(ValueError, match=r"Action spaces do not match: Discrete\(3\) != Discrete\(5\)"):
        load(env=spaces_env(BOX, spaces.Discrete(5)))
    with pytest.raises(ValueError, match="`n_learners` must divide.*6 environments, n_learners=4"):
        load(env=spaces_env(n_envs=6))
    with pytest.raises(ValueError, match=r"policy kwargs do not equal.*\[8\].*\[9\]"):
        load(policy_kwargs=dict(net_arch=[9]))


def test_a_zip_of_another_algorithm_is_refused(tmp_path):
    PPO("MlpPolicy", spaces_env(), n_steps=8, batch_size=16).save(tmp_path / "ppo")
    with pytest.raises(ValueError, match="not saved by PPMO|saved by another algorithm"):
        PPMO.load(tmp_path / "ppo", env=spaces_env())


def test_files_of_datasets_are_not_models(tmp_path):
    model = make()
    model.dataset.save(tmp_path / "set.safetensors")
    with pytest.raises(ValueError, match="zip"):
        PPMO.load(tmp_path / "set.safetensors")
    model.save(tmp_path / "model.zip")
    with pytest.raises((ValueError, FileNotFoundError), match="safetensors"):
        SyntheticDataset.load(tmp_path / "model.zip")


def test_learning_without_an_environment_is_refused(tmp_path):
    make().save(tmp_path / "model")
    with pytest.raises(SB3S, match="set_env"):
        PPMO.load(tmp_path / "model").learn(ROLLOUT)


def test_unknown_inner_loops_and_distributions_are_refused():
    with pytest.raises(ValueError, match="unknown `inner_loop` 'nonsense'"):
        PPMO("MlpPolicy", small_env(), inner_loop="nonsense", **SMALL)
    with pytest.raises(ValueError, match="learner_distribution"):
        PPMO("MlpPolicy", small_env(), learner_distribution="nonsense", **SMALL)


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="`dataset_init` must be one of normal, observations, got 'states'"):
        PPMO("MlpPolicy", "CartPole-v1", dataset_init="states")
    with pytest.raises(ValueError, match="`n_epochs`"):
        PPMO("MlpPolicy", small_env(), **{**SMALL, "n_epochs": 0})
    with pytest.raises(ValueError, match="`gamma` must be a number"):
        PPMO("MlpPolicy", small_env(), gamma="lin_0.9", **SMALL)
    with pytest.warns(UserWarning, match="`n_inner_steps` are not used: `initial_dataset` brings its own"):
        PPMO("MlpPolicy", small_env(), n_inner_steps=3, initial_dataset=simplex_dataset(2, 10.0), **SMALL)
    with pytest.warns(UserWarning, match="n_instances=5 is not used"):
        PPMO("MlpPolicy", small_env(), n_instances=5, initial_dataset=simplex_dataset(2, 10.0), **SMALL)
