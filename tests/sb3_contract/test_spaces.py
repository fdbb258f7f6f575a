"""Every space that SB3's PPO takes, and those that it refuses."""

from functools import partial

import numpy as np
import pytest
from contract import (
    ACTIONS,
    BOX,
    N_ENVS,
    N_LEARNERS,
    OBSERVATIONS,
    ROLLOUT,
    SB3S,
    SpacesEnv,
    assert_acts,
    make,
    spaces_env,
    through_a_file,
)
from gymnasium import spaces
from stable_baselines3.common.envs import FakeImageEnv, SimpleMultiObsEnv
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_distill import PPMO, evaluate_learners


@pytest.mark.parametrize("action_space", ACTIONS.values(), ids=ACTIONS)
@pytest.mark.parametrize("observation_space", OBSERVATIONS.values(), ids=OBSERVATIONS)
def test_spaces(observation_space, action_space, tmp_path):
    model = make(spaces_env(observation_space, action_space)).learn(2 * ROLLOUT)
    assert model.parts.learners.n_learners == N_LEARNERS
    assert model.dataset.is_finite()
    policy = through_a_file(model, tmp_path)
    assert policy.observation_space == model.observation_space
    assert policy.action_space == action_space
    raw = spaces_env(observation_space, action_space).reset()
    assert_acts(model, raw, action_space)
    assert_acts(policy, raw, action_space)


@pytest.mark.parametrize(
    "env_class, kwargs",
    [
        (FakeImageEnv, dict(screen_height=36, screen_width=36, n_channels=3)),
        (FakeImageEnv, dict(screen_height=36, screen_width=36, n_channels=3, channel_first=True, discrete=False)),
        (SimpleMultiObsEnv, dict(channel_last=True)),
        (SimpleMultiObsEnv, dict(channel_last=False, discrete_actions=False)),
    ],
)
def test_sb3s_own_environments(env_class, kwargs, tmp_path):
    env = DummyVecEnv([partial(env_class, **kwargs)] * N_ENVS)
    model = make(env).learn(2 * ROLLOUT)
    assert_acts(through_a_file(model, tmp_path), env.reset(), env.action_space)


@pytest.mark.parametrize(
    "action_space, use_sde",
    [*((space, False) for space in ACTIONS.values()), (ACTIONS["Box"], True)],
    ids=[*ACTIONS, "gSDE"],
)
def test_every_kind_of_action_is_learned(action_space, use_sde):
    build = partial(spaces_env, BOX, action_space)
    kwargs = dict(n_steps=64, batch_size=64, n_epochs=4, learning_rate=0.02, gamma=0.0, use_sde=use_sde)
    model = make(build(), **kwargs)
    score = partial(evaluate_learners, n_learners=20, n_episodes=2, env=lambda n: build(n_envs=n))
    before = score(model.dataset)
    model.learn(10 * 4 * 64)
    assert score(model.dataset).learner_means.mean() > 0.5 * before.mean  # returns are negative: half the distance is left


BAD_OBSERVATIONS = [
    pytest.param(spaces.Tuple((BOX, BOX)), id="Tuple"),
    pytest.param(spaces.Dict(inner=spaces.Dict(one=BOX)), id="nested"),
    pytest.param(spaces.Sequence(BOX), id="Sequence"),
    pytest.param(spaces.Text(4), id="Text"),
    pytest.param(spaces.Dict(one=BOX, text=spaces.Text(4)), id="Dict-Text"),
    pytest.param(spaces.Discrete(3, start=1), id="Discrete-start"),
    pytest.param(spaces.MultiDiscrete([[2, 3], [2, 3]]), id="MultiDiscrete2D"),
]
BAD_ACTIONS = [
    pytest.param(spaces.Tuple((BOX, BOX)), id="Tuple"),
    pytest.param(spaces.Sequence(BOX), id="Sequence"),
    pytest.param(spaces.Text(4), id="Text"),
    pytest.param(spaces.Dict(one=BOX), id="Dict"),
    pytest.param(spaces.Box(-np.inf, np.inf, (2,)), id="unbounded"),
    pytest.param(spaces.MultiBinary((2, 2)), id="MultiBinary2D"),
    pytest.param(spaces.MultiDiscrete([[2, 3], [2, 3]]), id="MultiDiscrete2D"),
    pytest.param(spaces.Discrete(3, start=1), id="Discrete-start"),
    pytest.param(spaces.MultiDiscrete([2, 3], start=[1, 1]), id="MultiDiscrete-start"),
]


@pytest.mark.parametrize("space", BAD_OBSERVATIONS)
def test_observation_spaces_that_are_refused(space):
    with pytest.raises(SB3S, match="(?i)observation.*not supported"):
        PPMO("MultiInputPolicy" if isinstance(space, spaces.Dict) else "MlpPolicy", SpacesEnv(space), seed=0)


@pytest.mark.parametrize("space", BAD_ACTIONS)
def test_action_spaces_that_are_refused(space):
    with pytest.raises(
        SB3S, match="only supports.*as action spaces|finite lower and upper bound|action space is not supported"
    ):
        PPMO("MlpPolicy", SpacesEnv(BOX, space, reward=0.0), n_instances=4, seed=0)
