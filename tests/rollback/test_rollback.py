"""The ladder of encoder levels."""

import json
import shutil

import gymnasium as gym
import numpy as np
import pytest
from helpers import OwnExtractor
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from nd_cartpole import NDCartPoleEnv
from sb3_distill import PPMO, SyntheticDataset, make_vec_env
from sb3_distill.cli import main
from sb3_distill.rollback import resume, rollback
from sb3_distill.rollback.same_ladder import same_setting

TASK = "NDCartPole1D-v0"
SMALL = dict(n_steps=32, batch_size=64, n_epochs=1, policy_kwargs=dict(net_arch=[16]), seed=0)


def environment():
    return VecNormalize(make_vec_env(TASK, 8, seed=0))


def test_a_ladder(tmp_path):
    results = rollback("MlpPolicy", environment, [2, 1, 0], 2_000, tmp_path, 3, 2, minutes=1e-6, **SMALL)
    assert list(results) == ["2", "1", "0"]
    assert [row["above"] for row in results.values()] == [None, 2, 1]
    assert [row["timesteps"] for row in results.values()] == [2048, 4096, 6144]
    for level in (2, 1, 0):
        dataset = SyntheticDataset.load(tmp_path / f"l{level}.safetensors")
        assert dataset.encoder_layers == level and dataset.info.scores["greedy"] == results[str(level)]["greedy"]
        assert dataset.info.normalization is not None
    # What is done is not done again, and more levels can follow only from where it ended.
    assert rollback("MlpPolicy", environment, [2, 1, 0], 2_000, tmp_path, 3, 2, **SMALL) == results
    with pytest.raises(ValueError, match="holds a level 0 that came from level 1, not 2"):
        rollback("MlpPolicy", environment, [2, 0], 2_000, tmp_path, 3, 2, **SMALL)


def test_the_critic_goes_along(tmp_path, monkeypatch):
    """And the files of a level are enough to go on from it, elsewhere and for longer."""
    rollback("MlpPolicy", environment, [2], 500, tmp_path, 1, 1, **SMALL)
    above, known = resume(PPMO, tmp_path / "l2", environment()), (tmp_path / "l2.safetensors").read_bytes()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("l2.safetensors", "l2-critic.safetensors", "rollback.json"):
        shutil.copy(tmp_path / name, elsewhere)

    class Stop(Exception):
        pass

    kept = {}

    class Look(BaseCallback):
        def _on_step(self):
            kept["critic"] = [value.clone() for value in self.model.critic.parameters]
            raise Stop

    learn = PPMO.learn
    with monkeypatch.context() as patch:
        patch.setattr(PPMO, "learn", lambda self, n, callback, **kwargs: learn(self, n, Look(), **kwargs))
        with pytest.raises(Stop):
            rollback("MlpPolicy", environment, [2, 1], 1_000, elsewhere, 1, 1, **SMALL)
    assert (elsewhere / "l2.safetensors").read_bytes() == known
    (elsewhere / "l2-critic.safetensors").write_bytes(b"cut off")
    with pytest.raises(ValueError, match="l2-critic.safetensors cannot be read .* the critic is learned anew"):
        rollback("MlpPolicy", environment, [2, 1], 1_000, elsewhere, 1, 1, **SMALL)
    assert all(own.equal(known) for own, known in zip(kept["critic"], above.critic.parameters, strict=True))


def test_wrong_ladders(tmp_path):
    for levels in ([], [1, 2], [2, 2], [1, -1]):
        with pytest.raises(ValueError, match="`levels` must fall"):
            rollback("MlpPolicy", environment, levels, 100, tmp_path)
    with pytest.raises(ValueError, match="`total_timesteps` must be at least 1"):
        rollback("MlpPolicy", environment, [1], 0, tmp_path)
    with pytest.raises(ValueError, match="from 0 to 2 for this network"):
        rollback("MlpPolicy", environment, [7], 100, tmp_path, **SMALL)


def test_a_folder_is_for_one_ladder(tmp_path):
    def ladder(levels, timesteps, **changes):
        return rollback("MlpPolicy", environment, levels, timesteps, tmp_path, 1, 1, **{**SMALL, **changes})

    ladder([2], 256)
    with pytest.raises(ValueError, match="holds a ladder with another `gamma`: default, not 0.5; take another"):
        ladder([2], 256, gamma=0.5)
    for other, name in (
        (lambda: VecNormalize(make_vec_env("CartPole-v1", 8)), f"environment: {TASK}, not CartPole-v1"),
        (lambda: VecNormalize(make_vec_env(TASK, 4)), "number of environments: 8, not 4"),
        (lambda: VecNormalize(make_vec_env(TASK, 8), norm_obs=False), "normalisation: observations True"),
    ):
        with pytest.raises(ValueError, match=f"holds a ladder with another {name}"):
            rollback("MlpPolicy", other, [2], 256, tmp_path, 1, 1, **SMALL)
    # First thin, then deep: the last level goes on where it is given more.
    assert ladder([2], 512)["2"]["level_timesteps"] == 512
    assert ladder([2, 1], 256)["1"]["timesteps"] == 512 + 256
    assert ladder([2, 1], 1024)["2"]["level_timesteps"] == 512
    with pytest.raises(ValueError, match="`eval_learners` must be at least 1, got 0"):
        rollback("MlpPolicy", environment, [2], 256, tmp_path, 0)


def test_settings_are_compared_by_what_they_say(tmp_path):
    """A folder of version 0.1.0 holds the texts of Python's values."""
    for one, other in (
        ("0.5", "0.50"),
        ("{'net_arch': (16,), 'ortho_init': True}", "{'ortho_init': True, 'net_arch': [16]}"),
        ("lin_0.1", "lin_0.1"),
        ("{'activation_fn': <class 'torch.nn.modules.activation.Tanh'>}",) * 2,
    ):
        assert same_setting(one, other)
    for one, other in (("0.5", "0.25"), ("lin_0.1", "lin_0.2"), ("[16]", "[16, 16]"), ("None", "none")):
        assert not same_setting(one, other)
    kwargs = {**SMALL, "policy_kwargs": dict(net_arch=[16], ortho_init=True)}
    rollback("MlpPolicy", environment, [1], 256, tmp_path, 1, 1, **kwargs)
    kwargs["policy_kwargs"] = dict(ortho_init=True, net_arch=[16])
    assert rollback("MlpPolicy", environment, [1], 256, tmp_path, 1, 1, **kwargs)["1"]["level_timesteps"] == 256


def test_a_level_that_was_cut_off_goes_on_with_its_own_settings_only(tmp_path, monkeypatch):
    def ladder(**changes):
        return rollback("MlpPolicy", environment, [1], 10_000, tmp_path, 1, 1, 1e-9, **{**SMALL, **changes})

    # What could not start leaves nothing behind.
    with pytest.raises(ValueError, match="unknown `inner_loop`"):
        ladder(inner_loop="no_such")
    train = PPMO.train

    def interrupted(self):
        if self.num_timesteps > 1_000:
            raise KeyboardInterrupt
        train(self)

    with monkeypatch.context() as patch:
        patch.setattr(PPMO, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ladder()
    with pytest.raises(ValueError, match="holds a ladder with another `n_epochs`: 1, not 2; take another"):
        ladder(n_epochs=2)


def test_a_ladder_of_ones_own_network(tmp_path):
    kwargs = {**SMALL, "policy_kwargs": dict(features_extractor_class=OwnExtractor, net_arch=[8])}
    assert list(rollback("MlpPolicy", environment, [1, 0], 256, tmp_path, 1, 1, **kwargs)) == ["1", "0"]


class Unknown(gym.Wrapper):
    """Records nothing."""


def test_what_cannot_be_evaluated_is_told_before_learning(tmp_path):
    kwargs = {**SMALL, "total_timesteps": 10**9, "levels": [1]}
    for make, message in (
        (lambda: DummyVecEnv([lambda: NDCartPoleEnv(1)]), "it is not known by which id .*: give `eval_env`"),
        (lambda: DummyVecEnv([lambda: Unknown(gym.make(TASK))]), "wrapper Unknown.* and give it as `eval_env`"),
    ):
        with pytest.raises(ValueError, match=message):
            rollback("MlpPolicy", make, folder=tmp_path, **kwargs)


def test_a_ladder_that_begins_with_all_layers_starts_from_what_is_seen(tmp_path):
    def bright():
        return DummyVecEnv([Bright for _ in range(2)])

    kwargs = dict(n_steps=8, batch_size=16, n_epochs=1, n_learners=1, seed=0, weight_decay=0.0)
    rollback("CnnPolicy", bright, [5, 4, 3], 16, tmp_path, 1, 1, lambda n: bright(), dataset_init="observations", **kwargs)
    for level in (5, 4, 3):
        observations = SyntheticDataset.load(tmp_path / f"l{level}.safetensors").observations.detach()
        assert 0.9 < float(observations.min()) and float(observations.max()) < 1.1


class Bright(gym.Env):
    observation_space = gym.spaces.Box(0, 255, (1, 36, 36), np.uint8)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.full((1, 36, 36), 255, np.uint8), {}

    def step(self, action):
        return np.full((1, 36, 36), 255, np.uint8), float(action), True, False, {}


def test_a_damaged_file_of_results(tmp_path):
    rollback("MlpPolicy", environment, [1], 256, tmp_path, 1, 1, **SMALL)
    (tmp_path / "rollback.json").write_text("{")
    with pytest.raises(ValueError, match=r"rollback.json cannot be read"):
        rollback("MlpPolicy", environment, [1], 256, tmp_path, 1, 1, **SMALL)


def test_the_command(tmp_path, capsys):
    out = tmp_path / "ladder"
    arguments = ["rollback", "--env", TASK, "--levels", "1,0", "--timesteps", "600", "-o", str(out), "--n-envs", "8"]
    arguments += [
        "--learners",
        "2",
        "--episodes",
        "2",
        "-params",
        "policy_kwargs:dict(net_arch=[8])",
        "n_learners:4",
        "n_steps:32",
    ]
    assert main([*arguments, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["0"]["above"] == 1 and results["0"]["iterations"] == 3
    assert (out / "rollback.png").exists() and (out / "l0.safetensors").exists()
    assert main(arguments) == 0
    assert "encoder" in capsys.readouterr().out
    for reserved in ("seed:3", "encoder_layers:2"):
        assert main([*arguments, reserved]) == 1
        assert "-params cannot say" in capsys.readouterr().err
    assert main([*arguments, "no_such:1"]) == 1
    assert "unknown key 'no_such'" in capsys.readouterr().err
    assert main(["rollback", "--env", TASK, "--levels", "x", "-o", str(out)]) == 1
    assert "--levels are numbers" in capsys.readouterr().err
