"""Learning through the inner loop that carries labels."""

import pytest
from stable_baselines3.common.envs import FakeImageEnv

from sb3_distill import PPMO, SyntheticDataset, evaluate_learners, make_vec_env


def test_the_file_names_layers_that_carry_nothing(tmp_path):
    model = PPMO("CnnPolicy", FakeImageEnv(), inner_loop="carry", n_instances=4, n_steps=16, n_learners=1, batch_size=16)
    model.dataset.save(tmp_path / "a.safetensors")
    dataset = SyntheticDataset.load(tmp_path / "a.safetensors")
    assert dataset.info.inner_loop["as_drawn"] == ["features.cnn.0", "features.cnn.2", "features.cnn.4"]
    assert "carry, not through 3 layers" in repr(dataset)
    model.save(tmp_path / "model")
    assert PPMO.load(tmp_path / "model", env=FakeImageEnv()).inner_loop == "carry"
    assert "as_drawn" not in PPMO("MlpPolicy", "CartPole-v1", inner_loop="carry", n_steps=16).dataset.info.inner_loop


def test_where_it_starts_depends_on_the_kind_of_action_and_is_an_argument():
    assert PPMO("MlpPolicy", "CartPole-v1", inner_loop="carry").carry_strength == 3.0
    assert PPMO("MlpPolicy", "Pendulum-v1", inner_loop="carry").carry_strength == 0.1
    model = PPMO("MlpPolicy", "Pendulum-v1", inner_loop="carry", carry_strength=2.0)
    assert model.dataset.inner_loop.rates(model.dataset.learned)["carry_strength"] == pytest.approx(2.0)
    with pytest.raises(ValueError, match="`carry_strength` must be positive and finite, got 0"):
        PPMO("MlpPolicy", "Pendulum-v1", inner_loop="carry", carry_strength=0.0)


def test_a_few_instances_learn_to_teach_narrow_and_deep_networks():
    env = make_vec_env("NDCartPole1D-v0", 64, seed=0)
    mixture = [{"width": [16, 64], "depth": [1, 6], "activation": ["tanh", "relu"], "init": ["orthogonal", "pytorch"]}]
    model = PPMO(
        "MlpPolicy", env, inner_loop="carry", n_instances=4, n_learners=16, learner_distribution=mixture, n_steps=128,
        batch_size=1024, n_epochs=1, gamma=0.98, learning_rate="lin_0.03", labels_learning_rate="lin_0.2", seed=0,
    )  # fmt: skip
    model.learn(400_000)
    deep = {"width": 20, "depth": 7, "activation": "relu", "init": "orthogonal"}
    assert (
        evaluate_learners(model.dataset, 10, 5, learner_distribution=deep).mean > 250
    )  # 341 to 500 with three seeds, 20 untaught
