"""Advice in messages works as it is written."""

import re

import pytest
from helpers import ImageEnv
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_distill import PPMO, DistilledPolicy, Expert, SyntheticDataset, clone, make_vec_env
from sb3_distill.dagger import DAgger
from sb3_distill.errors import ArgumentError, MissingExtraError
from sb3_distill.teaching.as_zip import teach_as_zip


@pytest.fixture(scope="module")
def image_dataset():
    return PPMO("CnnPolicy", DummyVecEnv([ImageEnv]), n_steps=8, seed=0, inner_loop="ridge").dataset


@pytest.mark.parametrize("algorithm, name", [(SAC, "Pendulum-v1"), (DQN, "NDCartPole2D-v0/wide"), (DQN, None)])
def test_a_policy_that_the_algorithm_uses(algorithm, name, image_dataset):
    dataset = image_dataset if name is None else SyntheticDataset.load(name)
    env = DummyVecEnv([ImageEnv]) if name is None else dataset.info.env_id
    with pytest.raises(ArgumentError) as error:
        DistilledPolicy.from_dataset(dataset, seed=0).to_algorithm(algorithm, env)
    advised = re.search(r"policy=(.*)\)$", str(error.value))[1]
    policy = DistilledPolicy.from_dataset(dataset, policy=eval(advised), seed=0)
    kwargs = {"buffer_size": 10}
    assert isinstance(policy.to_algorithm(algorithm, env, **kwargs), algorithm)


def test_another_replay_buffer(tmp_path):
    """What ``sb3-distill teach --algo dqn`` notes."""
    taught = teach_as_zip(SyntheticDataset.load("NDCartPole2D-v0/wide"), "dqn", tmp_path / "dqn.zip", 0)
    env = make_vec_env("NDCartPole2D-v0", 1)
    assert DQN.load(taught.path, env=env, buffer_size=100).replay_buffer.buffer_size == 100


def test_normalised_observations():
    env = make_vec_env("Pendulum-v1", 8)
    with pytest.raises(ValueError, match="put the environment into a VecNormalize"):
        PPMO("MlpPolicy", env, initial_dataset="Pendulum-v1", normalize=False)
    assert PPMO("MlpPolicy", env, initial_dataset="Pendulum-v1").normalize is True  # inside, as nothing is said
    PPMO("MlpPolicy", VecNormalize(env), initial_dataset="Pendulum-v1")


def test_a_clone_goes_on_from_its_dataset():
    expert = DistilledPolicy.from_dataset("NDCartPole1D-v0", seed=0)
    env = make_vec_env("NDCartPole1D-v0", 4)
    agent = Expert(expert.to_algorithm(PPO, env))
    model = clone(agent, "NDCartPole1D-v0", 64, 4, policy="MlpPolicy", seed=0)
    with pytest.raises(NotImplementedError, match=r"DAgger\(\.\.\., initial_dataset=\.\.\.\)"):
        model.save("nowhere")
    normalized = VecNormalize(env)  # a clone is made with normalised observations, which another message says
    DAgger("MlpPolicy", normalized, agent, initial_dataset=model.dataset, seed=0).learn(64)


def test_extras_in_messages_exist():
    import tomllib

    from blocks import ROOT

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    sources = "".join(path.read_text() for path in (ROOT / "sb3_distill").rglob("*.py"))
    named = set(re.findall(r"sb3-distill\[([\w-]+)\]", sources))
    assert named
    assert named <= set(extras)
    assert issubclass(MissingExtraError, ImportError)
