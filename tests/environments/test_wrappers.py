"""What an environment wears travels in the file."""

import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import FlattenObservation, FrameStackObservation, RescaleAction, TransformReward
from stable_baselines3.common.atari_wrappers import ClipRewardEnv, MaxAndSkipEnv
from stable_baselines3.common.envs import FakeImageEnv
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

from sb3_distill import PPMO, DistilledPolicy, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.errors import DatasetError

QUICK = dict(n_steps=8, n_learners=2, seed=0)


class Mirror(gym.ObservationWrapper):
    def observation(self, observation):
        return -observation


def distil(env, tmp_path, policy="MlpPolicy", **kwargs):
    """A barely trained dataset, through its file."""
    model = PPMO(policy, env, **QUICK, **kwargs)
    model.learn(8 * env.num_envs)
    model.dataset.save(tmp_path / "set.safetensors")
    return SyntheticDataset.load(tmp_path / "set.safetensors")


def test_a_frame_stack_is_rebuilt_and_named_when_it_is_missing(tmp_path):
    dataset = distil(VecFrameStack(make_vec_env("NDCartPole1D-v0", 4), 3), tmp_path)
    env = make_vec_env(dataset, 6)
    assert env.num_envs == 6
    assert env.observation_space.shape == (12,)
    assert evaluate_learners(dataset, 2, 2).mean > 0
    policy = DistilledPolicy.from_dataset(dataset)
    assert evaluate_policy(policy, env, 2)[0] > 0
    message = r"VecFrameStack\(channels_order='last', n_stack=3\): make_vec_env\(dataset, n_envs\) builds it"
    with pytest.raises(ValueError, match=rf"shape \(4,\).*{message}"):
        policy.predict(np.zeros(4, np.float32))
    with pytest.raises(DatasetError, match=message):
        evaluate_learners(dataset, 2, 2, env=lambda n: make_vec_env("NDCartPole1D-v0", n))


def test_a_policy_of_a_set_without_wrappers_asks_whether_one_is_missing():
    policy = DistilledPolicy.from_dataset("NDCartPole1D-v0")
    with pytest.raises(ValueError, match=r"shape \(8,\).*is a wrapper of the environment missing"):
        policy.predict(np.zeros(8, np.float32))


def test_normalisation_below_a_frame_stack_fits_the_stacked_observations(tmp_path):
    inner = VecNormalize(make_vec_env("NDCartPole1D-v0", 4))
    dataset = distil(VecFrameStack(inner, 2), tmp_path)
    assert np.allclose(dataset.info.normalization.mean, np.tile(inner.obs_rms.mean, 2))
    raw = VecFrameStack(make_vec_env("NDCartPole1D-v0", 4), 2)
    assert evaluate_policy(DistilledPolicy.from_dataset(dataset), raw, 2)[0] > 0


@pytest.mark.filterwarnings("ignore:.*precision lowered by casting")  # Gymnasium makes the rescaled space of doubles
def test_wrappers_of_single_environments_are_rebuilt_in_their_order(tmp_path):
    def wear(env):
        return FlattenObservation(FrameStackObservation(RescaleAction(env, -0.5, 0.5), 2))

    dataset = distil(make_vec_env("Pendulum-v1", 4, wrapper_class=wear), tmp_path, n_instances=3)
    assert [record["name"] for record in dataset.info.wrappers] == [
        "RescaleAction",
        "FrameStackObservation",
        "FlattenObservation",
    ]
    env = make_vec_env(dataset, 2)
    assert env.observation_space.shape == (6,)
    assert env.action_space.high == 0.5
    assert evaluate_learners(dataset, 2, 1).mean < 0


def test_wrappers_of_sb3_keep_their_arguments_and_images_are_turned(tmp_path):
    gym.register("FakeImage-v0", entry_point=lambda **_: FakeImageEnv(screen_height=40, screen_width=40, discrete=True))
    env = make_vec_env("FakeImage-v0", 4, wrapper_class=lambda env: ClipRewardEnv(MaxAndSkipEnv(env, skip=3)))
    dataset = distil(VecFrameStack(env, 2), tmp_path, policy="CnnPolicy")
    assert dataset.info.wrappers[0] == {
        "name": "MaxAndSkipEnv",
        "entry_point": "stable_baselines3.common.atari_wrappers:MaxAndSkipEnv",
        "kwargs": {"skip": 3},
    }
    env = make_vec_env(dataset, 2)
    assert env.observation_space == dataset.info.observation_space
    assert env.observation_space.shape == (2, 40, 40)
    assert env.get_attr("_skip") == [3, 3]
    assert evaluate_learners(dataset, 2, 1).returns.shape == (2, 1)
    with pytest.raises(ValueError, match=r"MaxAndSkipEnv\(skip=3\), ClipRewardEnv\(\), VecFrameStack\(.*n_stack=2"):
        DistilledPolicy.from_dataset(dataset).predict(np.zeros((40, 40, 1), np.uint8))


@pytest.mark.parametrize(
    "wrapper, message",
    [
        (Mirror, "wrapper Mirror of .*test_wrappers, which is not made from a file"),
        (lambda env: TransformReward(env, lambda r: -r), "wrapper TransformReward, which does not record its arguments"),
    ],
)
def test_a_wrapper_that_a_file_cannot_say_is_named(tmp_path, wrapper, message):
    dataset = distil(make_vec_env("CartPole-v1", 4, wrapper_class=wrapper), tmp_path)
    with pytest.raises(ValueError, match=message):
        make_vec_env(dataset, 2)
    assert evaluate_learners(dataset, 2, 2, env=lambda n: make_vec_env("CartPole-v1", n, wrapper_class=wrapper)).mean != 0


def test_a_file_cannot_run_code_of_its_choice():
    dataset = SyntheticDataset.load("NDCartPole1D-v0")
    for entry_point in ("os:system", "gymnasium.envs.registration:register"):
        dataset.info.wrappers = [{"name": "Evil", "entry_point": entry_point, "kwargs": {}}]
        with pytest.raises(ValueError, match="is not made from a file"):
            make_vec_env(dataset, 1)


def test_a_distilled_policy_can_be_pickled(tmp_path):
    policy = DistilledPolicy.from_dataset("NDCartPole2D-v0", seed=3)
    copy = pickle.loads(pickle.dumps(policy))
    assert isinstance(copy, DistilledPolicy)
    assert isinstance(copy, type(policy).__mro__[2])
    observations = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32) / 10
    assert (copy.predict(observations, deterministic=True)[0] == policy.predict(observations, deterministic=True)[0]).all()
    with pytest.raises(TypeError, match="save the dataset instead"):
        DistilledPolicy.load(tmp_path / "policy.zip")
