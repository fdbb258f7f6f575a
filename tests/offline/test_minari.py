"""Datasets of Minari."""

import sys

import gymnasium as gym
import numpy as np
import pytest

from sb3_distill import Recording, record
from sb3_distill.cli import program as cli
from sb3_distill.errors import ArgumentError, MisfitError, MissingExtraError


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(MissingExtraError, match=r"""pip install "sb3-distill\[offline\]"""):
        Recording.from_minari("pointmaze/open-v0")


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    minari = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    played = record("random", "CartPole-v1", n_episodes=3)
    buffers = [
        minari.data_collector.EpisodeBuffer(
            id=i,
            observations=np.concatenate([one.observations, one.last_observation[None]]),
            actions=one.actions,
            rewards=list(one.rewards),
            terminations=[*[False] * (len(one.rewards) - 1), True],
            truncations=[False] * len(one.rewards),
            infos={},
        )
        for i, one in enumerate(played.episodes())
    ]
    env = gym.make("CartPole-v1")
    written = minari.create_dataset_from_buffers(
        "cartpole/test-v0", buffers, env=env, eval_env=env, algorithm_name="chance", author="a", author_email="b",
        code_permalink="c", description="d", data_format="hdf5",
    )  # fmt: skip
    return written, played


def test_play_of_minari(dataset):
    written, played = dataset
    recording = Recording.from_minari("cartpole/test-v0", env="CartPole-v1")
    for mine, its in zip(recording.columns, played.columns, strict=True):
        np.testing.assert_array_equal(mine, its)
    assert recording.origin.env_id == "CartPole-v1" and recording.sources[0].name == "Minari cartpole/test-v0"
    assert Recording.from_minari(written, max_episodes=2).n_episodes == 2


def test_another_space_is_refused(dataset):
    with pytest.raises(MisfitError, match=r"the recording has observation space Box\(4,\), the environment has Box\(3,\)"):
        Recording.from_minari(dataset[0], env="Pendulum-v1")


def test_mistakes(dataset):
    with pytest.raises(FileNotFoundError, match="there is no Minari dataset 'no/none-v0' on this computer"):
        Recording.from_minari("no/none-v0")
    with pytest.raises(ArgumentError, match="`max_episodes` must be at least 1, got 0"):
        Recording.from_minari(dataset[0], max_episodes=0)
    with pytest.raises(ArgumentError, match="`dataset` must be a Minari dataset or the id of one, got 3"):
        Recording.from_minari(3)


def test_the_command(dataset, tmp_path):
    path = tmp_path / "play.safetensors"
    assert cli.main(["record", "minari:cartpole/test-v0", "-o", str(path), "--episodes", "2"]) == 0
    assert Recording.load(path).n_episodes == 2
