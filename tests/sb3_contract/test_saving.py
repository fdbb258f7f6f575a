"""Models are saved, loaded and go on."""

import numpy as np
import pytest
import torch as th
from contract import BOX, DISCRETE, N_ENVS, N_LEARNERS, ROLLOUT, SETTINGS, assert_acts, column, make, same, spaces_env
from helpers import SMALL, simplex_dataset, small_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor

from sb3_distill import PPMO


def test_save_and_load_continue(tmp_path):
    model = PPMO("MlpPolicy", small_env(), **SMALL).learn(512)
    model.save(tmp_path / "model.zip")
    without_env = PPMO.load(tmp_path / "model.zip")
    observation = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    np.testing.assert_array_equal(
        model.predict(observation, deterministic=True)[0], without_env.predict(observation, deterministic=True)[0]
    )
    finals = []
    for _ in range(2):
        loaded = PPMO.load(tmp_path / "model.zip", env=small_env())
        for name in ("dataset", "policy", "initial_actor"):
            theirs = getattr(loaded, name).state_dict()
            for key, value in getattr(model, name).state_dict().items():
                assert th.equal(value, theirs[key])
        assert (
            loaded.dataset_optimizer.state_dict()["state"][0]["step"]
            == model.dataset_optimizer.state_dict()["state"][0]["step"]
        )
        loaded.learn(512, reset_num_timesteps=False)
        assert loaded.num_timesteps == 1024
        finals.append(loaded.dataset.state_dict())
    for name, value in finals[0].items():
        assert th.equal(value, finals[1][name])
        assert not th.equal(value, model.dataset.state_dict()[name])


def test_parameters_round_trip(tmp_path):
    model, other = make().learn(2 * ROLLOUT), make(seed=1)
    model.save(tmp_path / "model")
    raw = np.stack([BOX.sample() for _ in range(50)])
    for source in (model.get_parameters(), tmp_path / "model"):
        fresh = make(seed=1)
        assert not same(fresh.dataset.state_dict(), model.dataset.state_dict())
        fresh.set_parameters(source)
        assert same(fresh.dataset.state_dict(), model.dataset.state_dict())
        expected = model.predict(raw, deterministic=True)[0]
        np.testing.assert_array_equal(fresh.predict(raw, deterministic=True)[0], expected)
        assert_acts(fresh.learn(ROLLOUT), raw[:N_ENVS], DISCRETE)
    given = model.get_parameters()
    with pytest.raises(ValueError, match="nonsense"):
        other.set_parameters({**given, "nonsense": {}})
    with pytest.raises(ValueError, match="do not match"):
        other.set_parameters({"dataset": given["dataset"]})
    other.set_parameters({"dataset": given["dataset"]}, exact_match=False)
    assert same(other.dataset.state_dict(), given["dataset"])


@pytest.mark.parametrize(
    "n_learners, batch_size",
    [(N_LEARNERS, 16), pytest.param(None, 16), pytest.param(N_LEARNERS, None)],
)
def test_load_then_set_env_is_load_with_an_environment(n_learners, batch_size, tmp_path):
    model = make(n_learners=n_learners, batch_size=batch_size, n_steps=32).learn(ROLLOUT)
    model.save(tmp_path / "model")
    later = PPMO.load(tmp_path / "model")
    assert later.get_env() is None
    assert_acts(later, spaces_env().reset(), DISCRETE)
    later.set_env(spaces_env())
    at_once = PPMO.load(tmp_path / "model", env=spaces_env())
    for loaded in (later, at_once):
        loaded.learn(4 * ROLLOUT)
        assert loaded.learners.n_learners == N_LEARNERS
    assert later.parts.batch_size == at_once.parts.batch_size == model.parts.batch_size


def test_counters_and_the_log_folder_go_on(tmp_path):
    model = make(VecMonitor(spaces_env()), tensorboard_log=str(tmp_path)).learn(2 * ROLLOUT)
    model.save(tmp_path / "model")
    n_episodes = len(model.ep_info_buffer)
    for continued in (model, PPMO.load(tmp_path / "model", env=VecMonitor(spaces_env()))):
        assert continued.num_timesteps == 2 * ROLLOUT
        assert continued._n_updates == 2 * SETTINGS["n_epochs"]
        assert len(continued.ep_info_buffer) == n_episodes > 0
        continued.learn(ROLLOUT, reset_num_timesteps=False)
        assert continued.num_timesteps == 3 * ROLLOUT
        assert continued._n_updates == 3 * SETTINGS["n_epochs"]
        assert continued.dataset.info.timesteps == 3 * ROLLOUT
    assert [folder.name for folder in tmp_path.glob("PPMO*")] == ["PPMO_1"]
    model.learn(ROLLOUT)
    assert model.num_timesteps == ROLLOUT
    assert (tmp_path / "PPMO_2").is_dir()


def test_what_is_changed_when_loading(tmp_path, log_to_csv):
    model = make(learning_rate=lambda left: 0.01 * left, clip_range=lambda left: 0.2 * left).learn(ROLLOUT)
    model.save(tmp_path / "model")
    custom = dict(learning_rate=0.5, lr_schedule=lambda _: 0.5, clip_range=0.3)
    loaded = PPMO.load(tmp_path / "model", env=spaces_env(), custom_objects=custom, n_epochs=5, target_kl=None)
    log_to_csv(loaded, tmp_path)
    loaded.learn(2 * ROLLOUT)
    assert loaded._n_updates == SETTINGS["n_epochs"] + 2 * 5
    assert column(tmp_path, "train/learning_rate") == [0.5]
    assert column(tmp_path, "train/clip_range") == [0.3]
    assert PPMO.load(tmp_path / "model", env=spaces_env(), n_learners=2).learn(ROLLOUT).learners.n_learners == 2


def test_weight_decay_can_be_changed_when_loading(tmp_path):
    model = make(learning_rate=0.0, weight_decay=0.0).learn(ROLLOUT)
    model.save(tmp_path / "model")
    loaded = PPMO.load(tmp_path / "model", env=spaces_env(), weight_decay=5.0, learning_rate=0.01).learn(4 * ROLLOUT)
    assert loaded.dataset.observations.norm() < 0.9 * model.dataset.observations.norm()


def test_save_excludes_and_includes(tmp_path):
    model = make(learning_rate=0.02, tensorboard_log=str(tmp_path)).learn(ROLLOUT)
    model.note = "mine"
    model.save(tmp_path / "without", exclude=["learning_rate", "tensorboard_log", "note"])
    model.save(tmp_path / "with", include=["rollout_buffer"])
    without, with_buffer = (PPMO.load(tmp_path / name, env=spaces_env()) for name in ("without", "with"))
    assert without.learning_rate == 0.005
    assert without.tensorboard_log is None
    assert not hasattr(without, "note")
    assert with_buffer.learning_rate == 0.02
    assert with_buffer.note == "mine"
    for loaded in (without, with_buffer):
        assert same(loaded.dataset.state_dict(), model.dataset.state_dict())
        loaded.learn(ROLLOUT, reset_num_timesteps=False)


def test_a_model_that_started_from_a_file_loads_without_it(tmp_path):
    path = tmp_path / "set.safetensors"
    simplex_dataset(2, 10.0).save(path)
    PPMO("MlpPolicy", small_env(), initial_dataset=path, seed=0).save(tmp_path / "model.zip")
    path.unlink()
    model = PPMO.load(tmp_path / "model.zip")
    assert evaluate_policy(model, small_env(2), 2)[0] == 500
