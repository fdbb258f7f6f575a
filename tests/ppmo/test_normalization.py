"""Normalised observations, their statistics, and learned weights of observations."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from contract import ACTIONS, BOX, IMAGE, N_ENVS, ROLLOUT, VECTORS, make, spaces_env, through_a_file
from gymnasium import spaces
from helpers import SMALL, ReachEnv, improved, simplex_dataset, small_env
from stable_baselines3 import PPO
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor, VecNormalize, VecTransposeImage

from sb3_distill import PPMO, DistilledPolicy, SyntheticDataset, evaluate_learners
from sb3_distill.learners.population import Learners
from sb3_distill.networks.stacked import stack_parameters


def test_normalisation_travels_with_the_dataset(tmp_path):
    env = VecNormalize(DummyVecEnv([lambda: gym.make("Pendulum-v1") for _ in range(4)]))
    model = PPMO("MlpPolicy", env, **SMALL).learn(256)
    model.dataset.save(tmp_path / "set.safetensors")
    normalization = SyntheticDataset.load(tmp_path / "set.safetensors").info.normalization
    np.testing.assert_allclose(normalization.mean, env.obs_rms.mean)
    raw = env.observation_space.sample()
    np.testing.assert_allclose(normalization(raw), env.normalize_obs(raw), rtol=1e-6)
    policy = DistilledPolicy.from_dataset(tmp_path / "set.safetensors", seed=0)
    assert policy.predict(raw)[0].shape == (1,)
    model.save(tmp_path / "model.zip")
    again = PPMO.load(tmp_path / "model.zip")
    np.testing.assert_allclose(again.dataset.info.normalization.mean, normalization.mean)


def test_a_dataset_made_without_normalisation_is_not_put_behind_one():
    with pytest.raises(ValueError, match="made without normalised observations: leave out the VecNormalize"):
        PPMO("MlpPolicy", VecNormalize(small_env()), initial_dataset=simplex_dataset(2, 10.0), **SMALL)
    PPMO("MlpPolicy", VecNormalize(small_env(), norm_obs=False), initial_dataset=simplex_dataset(2, 10.0), **SMALL)


def test_clipping_travels_with_the_statistics():
    env = VecNormalize(small_env(), clip_obs=3.0, epsilon=0.1)
    dataset = PPMO("MlpPolicy", env, **SMALL).learn(256).dataset
    again = VecNormalize(small_env())
    PPMO("MlpPolicy", again, initial_dataset=dataset, **SMALL)
    assert (again.clip_obs, again.epsilon) == (3.0, 0.1)


@pytest.mark.parametrize(
    "observation_space, build",
    [
        pytest.param(BOX, lambda normalize, env: normalize(env), id="plain"),
        pytest.param(BOX, lambda normalize, env: VecMonitor(normalize(VecFrameStack(env, 2))), id="normalize-stack"),
        pytest.param(BOX, lambda normalize, env: VecFrameStack(normalize(VecMonitor(env)), 2), id="stack-normalize"),
        pytest.param(VECTORS, lambda normalize, env: normalize(env), id="Dict"),
        pytest.param(VECTORS, lambda normalize, env: normalize(env, norm_obs_keys=["two"]), id="Dict-one-key"),
        pytest.param(VECTORS, lambda normalize, env: VecFrameStack(normalize(env), 2), id="stack-normalize-Dict"),
        pytest.param(IMAGE, lambda normalize, env: normalize(env), id="image"),
        pytest.param(IMAGE, lambda normalize, env: normalize(VecTransposeImage(env)), id="transposed"),
    ],
)
def test_a_taught_policy_takes_what_the_environment_gives_without_vec_normalize(observation_space, build, tmp_path):
    env = build(VecNormalize, spaces_env(observation_space, ACTIONS["Box"]))
    raw_env = build(lambda env, **_: env, spaces_env(observation_space, ACTIONS["Box"]))
    if isinstance(raw_env, VecTransposeImage):
        raw_env = raw_env.venv
    model = make(env, policy="MlpPolicy" if observation_space is IMAGE else None).learn(2 * ROLLOUT)
    policy = through_a_file(model, tmp_path)
    model.get_vec_normalize_env().training = False
    for one in (model.get_env(), raw_env):
        one.seed(7)
        one.reset()
    for _ in range(3):  # until all frames of a stack are real ones
        actions = np.zeros((N_ENVS, 2, 3), dtype=np.float32)
        normalized, raw = model.get_env().step(actions)[0], raw_env.step(actions)[0]
    seen = BasePolicy.predict(policy, normalized, deterministic=True)[0]
    np.testing.assert_allclose(policy.predict(raw, deterministic=True)[0], seen, rtol=1e-4, atol=1e-5)


class DistractedEnv(ReachEnv):
    """Pointing at a target that is seen among forty numbers that mean nothing."""

    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Box(-1, 1, (42,))

    def reset(self, **kwargs):
        target, info = super().reset(**kwargs)
        return self.see(target), info

    def step(self, action):
        target, *rest = super().step(action)
        return self.see(target), *rest

    def see(self, target):
        return np.concatenate([self.np_random.uniform(-1, 1, 40), target]).astype(np.float32)


@pytest.mark.slow
def test_weights_of_observations_are_learned_and_travel(tmp_path):
    def make(n_envs):
        return DummyVecEnv([DistractedEnv for _ in range(n_envs)])

    scores = []
    for rate in (None, 0.01):
        env = VecNormalize(make(16))
        model = PPMO("MlpPolicy", env, n_instances=16, n_steps=64, input_scale_learning_rate=rate, seed=0).learn(40_000)
        scores.append(evaluate_learners(model.dataset, 10, 5, deterministic=True, env=make))
    assert improved(*scores)
    weights = model.dataset.input_scale.detach().numpy()
    assert weights[40:].min() > 2 * weights[:40].mean()
    path = tmp_path / "set.safetensors"
    model.dataset.save(path)
    again = evaluate_learners(path, 10, 5, deterministic=True, env=make)
    np.testing.assert_array_equal(again.returns, scores[1].returns)
    # A plain SB3 model carries them in its statistics, or in its first layer.
    policy = DistilledPolicy.from_dataset(path, seed=0)
    observations = np.stack([env.observation_space.sample() for _ in range(5)])
    expected = policy.predict(observations, deterministic=True)[0]
    wrapped = policy.to_algorithm(PPO, make(1), n_steps=64, seed=0)
    normalized = wrapped.get_vec_normalize_env().normalize_obs(observations)
    np.testing.assert_allclose(wrapped.predict(normalized, deterministic=True)[0], expected, atol=1e-4)
    folded = policy.to_algorithm(PPO, make(1), fold_normalization=True, n_steps=64, seed=0)
    np.testing.assert_allclose(folded.predict(observations, deterministic=True)[0], expected, atol=1e-4)
    # The model's own policy takes what its environment shows.
    seen = th.as_tensor(model._last_obs[:3])
    learners = model.dataset.teach(Learners([(model.parts.policy_actor.rest, stack_parameters([model.initial_actor]))]))
    outputs = model.parts.actor.outputs(learners, seen).outputs
    np.testing.assert_allclose(model.policy.get_distribution(seen).distribution.mean.detach(), outputs.detach(), atol=1e-4)
    # A run that goes on from the file keeps them, and learns on where it is told to.
    kept = PPMO("MlpPolicy", VecNormalize(make(16)), initial_dataset=path, n_steps=8, seed=0).learn(200).dataset
    assert kept.input_scale.detach().numpy() == pytest.approx(weights)
    assert kept.info.normalization.scale == pytest.approx(weights)
    model.save(tmp_path / "model.zip")
    loaded = PPMO.load(tmp_path / "model.zip", VecNormalize(make(16))).learn(2_000)
    assert not np.allclose(loaded.dataset.input_scale.detach().numpy(), weights)


def test_weights_of_observations_need_flat_normalised_ones():
    with pytest.raises(ValueError, match="needs normalised observations: put the environment into a VecNormalize"):
        PPMO("MlpPolicy", small_env(), input_scale_learning_rate=0.01, normalize=False, **SMALL)
    images = DummyVecEnv([lambda: gym.make("CartPole-v1")])
    images.observation_space = spaces.Box(0, 255, (3, 36, 36), np.uint8)
    with pytest.raises(ValueError, match="`input_scale_learning_rate` is for flat observations"):
        PPMO("CnnPolicy", images, input_scale_learning_rate=0.01, n_steps=8)
