"""How many learners, instances and transitions; where labels and rates start."""

import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from helpers import SMALL, FaultyEnv, small_env
from stable_baselines3.common.envs import IdentityEnvMultiBinary, IdentityEnvMultiDiscrete
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_distill import PPMO, SyntheticDataset, make_vec_env
from sb3_distill.outer_loop.defaults import resolve_ent_coef, resolve_n_instances, resolve_n_steps


@pytest.mark.parametrize("n_envs, n_learners, expected", [(64, None, 8), (10, None, 5), (7, None, 7), (1, None, 1), (6, 2, 2)])
def test_number_of_learners(n_envs, n_learners, expected):
    model = PPMO("MlpPolicy", small_env(n_envs), n_learners=n_learners, **{**SMALL, "batch_size": 32 * n_envs})
    assert model.rollout_buffer.n_learners == expected


@pytest.mark.parametrize(
    "observations, actions, expected",
    [
        (Box(-1, 1, (4,)), Discrete(4), 16),
        (Box(-1, 1, (4,)), Discrete(40), 21),  # Eq. 3 asks for more
        (Discrete(4), Discrete(4), 16),
        (Discrete(48), Discrete(4), 48),
        (Discrete(500), Discrete(6), 64),
        (MultiDiscrete([5, 7]), Discrete(6), 35),
        (Discrete(500), MultiDiscrete([40, 40]), 80),
        (Discrete(500), Box(-1, 1, (2,)), 64),
    ],
)
def test_instances_follow_the_task(observations, actions, expected):
    assert resolve_n_instances(None, observations, actions) == expected
    assert resolve_n_instances(99, observations, actions) == 99


def test_rollouts_and_entropy_follow_the_task():
    assert [resolve_n_steps(None, n) for n in (1, 3, 8, 64)] == [1024, 342, 128, 128]
    assert resolve_n_steps(7, 1) == 7
    assert [resolve_ent_coef(None, space) for space in (Discrete(3), MultiBinary(2), Box(-1, 1, (2,)))] == [0.01, 0.01, 0.0]
    assert resolve_ent_coef(0.0, Discrete(3)) == 0.0
    model = PPMO("MlpPolicy", small_env(2))
    assert (model.n_steps, model.ent_coef, model.rollout_buffer.buffer_size) == (512, 0.01, 512)


def test_what_was_chosen_is_printed_and_written(capsys, tmp_path):
    model = PPMO("MlpPolicy", small_env(2), n_steps=8, verbose=1)
    chosen = dict(n_instances=16, n_learners=2, normalize=True, n_steps=8, n_envs=2, ent_coef=0.01)
    assert f"Learning with {', '.join(f'{name}={value!r}' for name, value in chosen.items())}\n" in capsys.readouterr().out
    model.dataset.save(tmp_path / "set.safetensors")
    assert SyntheticDataset.load(tmp_path / "set.safetensors").info.arguments == chosen


def test_numbers_of_instances():
    assert PPMO("MlpPolicy", small_env(), **SMALL).dataset.n_instances == 16
    assert PPMO("MlpPolicy", make_vec_env("Pendulum-v1", 2), **SMALL).dataset.n_instances == 64
    for env, classes in ((IdentityEnvMultiBinary(3), 6), (IdentityEnvMultiDiscrete(3), 6)):
        assert PPMO("MlpPolicy", env, n_steps=8, batch_size=8).dataset.n_instances == max(classes, 16)
    assert PPMO("MlpPolicy", small_env(), n_instances=512, **SMALL).dataset.n_instances == 512
    with pytest.warns(UserWarning, match="below the 3 that Eq. 3"):
        PPMO("MlpPolicy", small_env(), n_instances=2, **SMALL)
    with pytest.raises(ValueError, match="`n_instances` must be at least 1.*got 0"):
        PPMO("MlpPolicy", small_env(), n_instances=0, **SMALL)


def test_where_labels_and_rates_of_continuous_actions_start():
    env = DummyVecEnv([lambda: FaultyEnv(0, "nothing", continuous=True)] * 4)
    for kind in ("sgd", "ridge"):
        assert 0.07 < PPMO("MlpPolicy", env, inner_loop=kind, **SMALL).dataset.labels.std() < 0.13
    rate = PPMO("MlpPolicy", env, **SMALL).dataset.learned["log_inner_learning_rates"].exp().item()
    assert rate == pytest.approx(0.6 * 2)  # two dimensions
    rate = PPMO("MlpPolicy", env, inner_learning_rate=0.3, **SMALL).dataset.learned["log_inner_learning_rates"].exp().item()
    assert rate == pytest.approx(0.3)
    assert PPMO("MlpPolicy", small_env(), **SMALL).dataset.learned["log_inner_learning_rates"].item() == 0.0


def test_learners_must_share_the_environments_evenly():
    with pytest.raises(ValueError, match="`n_learners` must divide.*8 environments, n_learners=3"):
        PPMO("MlpPolicy", small_env(), n_learners=3, **SMALL)
    with pytest.raises(ValueError, match="`n_learners` must be at least 1"):
        PPMO("MlpPolicy", small_env(), n_learners=0, **SMALL)


def test_a_minibatch_must_hold_every_learner():
    with pytest.raises(ValueError, match="`batch_size` must be at least the number of learners.*batch_size=4, 8 learners"):
        PPMO("MlpPolicy", small_env(), **{**SMALL, "batch_size": 4})


def test_a_short_last_minibatch_is_announced_and_harmless():
    with pytest.warns(UserWarning, match="truncated mini-batch of size"):
        model = PPMO("MlpPolicy", small_env(), **{**SMALL, "batch_size": 96})
    model.learn(256)
    assert model.dataset.is_finite()
