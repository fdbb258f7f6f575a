"""Videos of fresh learners."""

import sys

import gymnasium as gym
import numpy as np
import pytest
import torch as th

from sb3_distill import PPMO, SyntheticDataset, make_vec_env
from sb3_distill.cli import main
from sb3_distill.report.video import make_visible, watch

TASK = "NDCartPole1D-v0"


@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_videos(tmp_path, ending, capsys):
    imageio = pytest.importorskip("imageio.v2")
    path = tmp_path / f"video.{ending}"
    assert main(["watch", TASK, "-o", str(path), "--max-steps", "20"]) == 0
    assert "21 frames, return 20" in capsys.readouterr().out
    frames = imageio.mimread(path)
    assert 5 < len(frames) <= 21
    assert frames[0].shape[0] > 100


def test_a_seed_decides_what_is_filmed(tmp_path):
    """Sampled actions of a learner that nobody has taught much; without a seed they come from torch's global generator."""
    pytest.importorskip("imageio")
    env = make_vec_env(TASK, 8)
    dataset = PPMO("MlpPolicy", env, n_steps=32, batch_size=64, n_epochs=1, policy_kwargs=dict(net_arch=[16]), seed=0).dataset

    def returns(seed):
        return watch(dataset, tmp_path / "video.gif", seed=seed)[0]

    th.manual_seed(1)
    assert len({returns(0) for _ in range(3)}) == 1
    assert len({returns(seed) for seed in range(6)}) > 1
    assert len({returns(None) for _ in range(6)}) > 1


def test_what_cannot_be_filmed(tmp_path, monkeypatch):
    dataset = SyntheticDataset.load(TASK)
    with pytest.raises(ValueError, match=r"a video must be called \*.gif or \*.mp4"):
        watch(dataset, tmp_path / "video.avi")
    with pytest.raises(ValueError, match="`max_steps` must be at least 1"):
        watch(dataset, tmp_path / "video.gif", max_steps=0)
    dataset.info.env_id = None
    with pytest.raises(ValueError, match="does not say for which environment"):
        watch(dataset, tmp_path / "video.gif")
    monkeypatch.setitem(sys.modules, "imageio.v2", None)
    with pytest.raises(ImportError, match=r'pip install "sb3-distill\[video\]"'):
        watch(dataset, tmp_path / "video.gif")


def test_games_are_filmed(tmp_path):
    pytest.importorskip("ale_py")
    pytest.importorskip("imageio")
    from sb3_distill.environments.atari.vec_env import AtariVecEnv

    env = make_vec_env("PongNoFrameskip-v4", 2, seed=0, vec_env_cls=AtariVecEnv)
    dataset = PPMO("CnnPolicy", env, n_steps=8, encoder_layers=5, seed=0).dataset
    assert watch(dataset, tmp_path / "pong.gif", max_steps=5)[1] == 6
    visible = make_visible(dataset)
    visible.seed(0)  # with a draw of very few frames without an action, the screen still has another colour
    assert np.abs(visible.reset().astype(int)[:, -1] - env.reset()[:1, -1]).mean() < 5


def test_a_film_of_an_environment_that_is_handed_over(tmp_path):
    pytest.importorskip("imageio")
    made = gym.make("NDCartPole-v0", n_dims=1, render_mode="rgb_array")
    sources = (TASK, made, lambda: made, lambda n: make_vec_env(TASK, n, env_kwargs={"render_mode": "rgb_array"}))
    for source in sources:
        assert watch(TASK, tmp_path / "video.gif", max_steps=5, env=source) == (5.0, 6)
    with pytest.raises(ValueError, match="made for observation space"):
        watch(TASK, tmp_path / "video.gif", env="NDCartPole2D-v0")
