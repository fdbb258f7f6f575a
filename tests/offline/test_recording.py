"""Recorded play as arrays, and its file."""

import json

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from recordings import DICT, columns, recording
from safetensors import safe_open
from safetensors.torch import save_file

from sb3_distill import Recording, SyntheticDataset, record
from sb3_distill.errors import ArgumentError, DatasetError, MisfitError, RecordingError
from sb3_distill.offline.source import Source

PIXELS = spaces.Box(0, 255, (1, 4, 4), np.uint8)


def test_episodes_and_returns():
    one = recording()
    first, second = one.episodes()
    assert len(one) == 6 and one.n_episodes == 2
    assert first.terminated and not first.truncated and not second.terminated
    assert first.observations.shape == (2, 3) and second.last_observation.shape == (3,) and first.source == Source("test")
    assert one.returns().tolist() == [1.0] and one.returns(finished=False).tolist() == [1.0, 14.0]
    assert one.behaviour_mean == 1
    np.testing.assert_allclose(one.returns_to_go(0.5), [0.5, 1, 2 + 1.5 + 1 + 0.625, 3 + 2 + 1.25, 4 + 2.5, 5])
    assert one.returns_to_go(0.0).tolist() == one.rewards.tolist()


def test_arrays_do_not_change():
    with pytest.raises(ValueError, match="read-only"):
        recording().rewards[0] = 1


def test_a_mean_needs_a_finished_episode():
    with pytest.raises(ArgumentError, match="no episode of the recording is finished"):
        _ = recording(terminated=np.zeros(6, dtype=bool)).behaviour_mean
    assert "none finished" in repr(recording(terminated=np.zeros(6, dtype=bool)))


def test_what_is_said_of_a_recording():
    assert repr(record("random", "CartPole-v1", n_episodes=3)).startswith("Recording(task='CartPole-v1', steps=")
    assert "<table>" in recording()._repr_html_()


def test_concatenate():
    one, other = recording(), record("random", "CartPole-v1", n_steps=20)
    both = Recording.concatenate([one, one])
    assert len(both) == 12 and both.n_episodes == 4 and both.sources == one.sources
    assert both.returns(finished=False).tolist() == [1, 14, 1, 14]
    with pytest.raises(MisfitError, match=r"the recording has observation space Box\(4,\), the first recording has Box\(3,\)"):
        Recording.concatenate([one, other])
    with pytest.raises(ArgumentError, match="at least one"):
        Recording.concatenate([])
    alike = Recording.from_arrays(
        other.observation_space, other.action_space, other.observations, other.actions, other.rewards, other.columns.terminated
    )
    with pytest.raises(MisfitError, match="a recording is of CartPole-v1, the first one of an environment without an id"):
        Recording.concatenate([alike, other])


def test_from_arrays():
    c = columns()
    spaces_ = spaces.Box(-np.inf, np.inf, (3,)), spaces.Discrete(2)
    one = Recording.from_arrays(*spaces_, c.observations, c.actions, c.rewards, c.terminated, env_id="Task-v0")
    assert one.n_episodes == 2 and one.origin.env_id == "Task-v0"
    np.testing.assert_array_equal(one.columns.last_observations, c.observations[[1, 5]])  # as before it
    with pytest.raises(RecordingError, match="`terminated` has 6 entries and `truncated` 5"):
        Recording.from_arrays(*spaces_, c.observations, c.actions, c.rewards, c.terminated, np.zeros(5))
    with pytest.raises(RecordingError, match="empty"):
        Recording.from_arrays(*spaces_, np.zeros((0, 3)), [], [], [])


def test_statistics():
    one = recording()
    normalization = one.normalization()
    np.testing.assert_allclose(normalization(one.observations).mean(axis=0), 0, atol=1e-6)
    assert set(recording(space=DICT).normalization().mean) == {"speed"}
    assert recording(space=PIXELS).normalization() is None


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(rewards=[]), "the recording is empty"),
        (dict(observations=np.zeros((5, 3))), r"`observations` has 5 entries, expected 6"),
        (dict(actions=np.zeros(7, int)), r"`actions` has 7 entries, expected 6"),
        (dict(terminated=np.zeros(3, bool)), r"`terminated` has 3 entries, expected 6"),
        (dict(observations=np.zeros((6, 4))), r"`observations` has shape \(6, 4\), expected \(6, 3\), as Box\(3,\) says"),
        (dict(observations=[[0, 1, 2]] * 5 + [[0]]), "`observations` is ragged"),
        (dict(observations=np.array([[0, 1, 2]] * 5 + [["a", "b", "c"]])), "`observations` must hold numbers"),
        (dict(observations={"a": np.zeros((6, 3))}), "`observations` must be an array"),
        (dict(rewards=[0, 1, np.nan, 3, 4, 5]), "`rewards` is NaN or infinite at entry 2"),
        (dict(observations=np.full((6, 3), np.inf)), "`observations` is NaN or infinite at entry 0"),
        (dict(last_observations=np.full((2, 3), np.nan)), "`last_observations` is NaN or infinite at entry 0"),
        (dict(actions=[0, 1, 2, 0, 0, 0]), "`actions` has 2 at entry 2, which is no choice of its space"),
        (dict(actions=[0, 1, 0.5, 0, 0, 0]), "`actions` must hold numbers of the type int64"),
        (dict(ends=[2, 5]), "`ends` must rise from at least 1 to 6"),
        (dict(ends=[3, 6]), "step 1 is terminated or truncated"),
        (dict(episode_sources=[0, 1]), "`episode_sources` must name one of 1 sources"),
    ],
)
def test_what_is_no_recording(changes, message):
    with pytest.raises(RecordingError, match=message):
        recording(**changes)


def test_keys_that_are_missing():
    with pytest.raises(RecordingError, match="`observations` has the keys speed, its space has place, speed"):
        recording(space=DICT, observations={"speed": np.zeros((6, 2))})


def test_spaces_that_no_policy_takes():
    with pytest.raises(ArgumentError, match=r"action space Text\(.*\) is not supported"):
        Recording(spaces.Discrete(2), spaces.Text(3), columns())


def test_discounts():
    with pytest.raises(ArgumentError, match=r"`gamma` must be in \[0, 1\], got 1.5"):
        recording().returns_to_go(1.5)


@pytest.mark.parametrize("space", [None, DICT, PIXELS, spaces.Discrete(500), spaces.Box(-1, 1, (2,), np.float64)])
@pytest.mark.parametrize(
    "action_space", [spaces.Discrete(2), spaces.Box(-1, 1, (2,)), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(4)]
)
def test_the_file_gives_back_what_was_saved(tmp_path, space, action_space):
    one = recording(space, action_space)
    one.save(tmp_path / "play.safetensors")
    other = Recording.load(tmp_path / "play.safetensors")
    assert other.observation_space == one.observation_space and other.action_space == one.action_space
    assert (other.sources, other.origin, other.versions) == (one.sources, one.origin, one.versions)
    for mine, its in zip(one.columns, other.columns, strict=True):
        for a, b in zip(mine.values(), its.values(), strict=True) if isinstance(mine, dict) else [(mine, its)]:
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    before = (tmp_path / "play.safetensors").read_bytes()
    other.save(tmp_path / "play.safetensors")
    assert (tmp_path / "play.safetensors").read_bytes() == before


def test_names_of_files(tmp_path):
    with pytest.raises(ArgumentError, match=r"a recording file must be called \*.safetensors"):
        recording().save(tmp_path / "play.npz")
    with pytest.raises(FileNotFoundError, match="there is no recording"):
        Recording.load(tmp_path / "none.safetensors")


def test_recordings_and_datasets_are_told_apart(tmp_path):
    recording().save(tmp_path / "play.safetensors")
    with pytest.raises(DatasetError, match="a safetensors file, but a recording of it, not a dataset"):
        SyntheticDataset.load(tmp_path / "play.safetensors")
    SyntheticDataset.load("CartPole-v1").save(tmp_path / "set.safetensors")
    with pytest.raises(RecordingError, match="a safetensors file, but a dataset of it, not a recording"):
        Recording.load(tmp_path / "set.safetensors")


def attacked(path, change):
    """The same file with other tensors or metadata, and the right checksum."""
    from sb3_distill.dataset.file import write
    from sb3_distill.offline.file import RECORDING

    with safe_open(path, "pt") as file:
        info, tensors = json.loads(file.metadata()["info"]), {name: file.get_tensor(name) for name in file.keys()}
    change(info, tensors)
    write(path, tensors, info, RECORDING)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda info, t: t.update(rewards=t["rewards"].double()), "`rewards` has dtype torch.float64, expected torch.float32"),
        (lambda info, t: t.update(rewards=t["rewards"] * float("nan")), "`rewards` contains NaN"),
        (lambda info, t: t.update(rewards=t["rewards"][:3].clone()), "has 6 entries, expected 3"),
        (lambda info, t: t.pop("actions"), "`actions` is missing"),
        (lambda info, t: t.update(surprise=th.zeros(1, dtype=th.int64)), "`surprise` is no array of a recording"),
        (lambda info, t: t.update(ends=t["ends"] * 2), "`ends` must rise"),
        (lambda info, t: t.update(actions=t["actions"] + 7), "which is no choice of its space"),
        (lambda info, t: info.pop("sources"), "`sources` is missing"),
        (lambda info, t: info.update(sources=[]), r"`sources` is \[\]"),
        (lambda info, t: info.update(sources=[{"name": 3}]), "is no source of play"),
        (lambda info, t: info.update(sources=[Source("a", noise=-1.0).to_json()]), "is no source of play"),
        (lambda info, t: info["observation_space"].update(shape=[10**9]), "`observation_space` has"),
        (lambda info, t: info["action_space"].update(type="Text"), "unknown kind of space"),
        (lambda info, t: info.update(env_id=7), "`env_id` is 7"),
        (lambda info, t: info.update(wrappers=[3]), "`wrappers` has the record 3"),
    ],
)
def test_hostile_files_are_refused_by_name(tmp_path, change, message):
    path = tmp_path / "play.safetensors"
    recording().save(path)
    attacked(path, change)
    with pytest.raises(RecordingError, match=f"play.safetensors.*{message}"):
        Recording.load(path)


def test_damaged_files(tmp_path):
    path = tmp_path / "play.safetensors"
    recording().save(path)
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    with pytest.raises(RecordingError, match="truncated, damaged or renamed"):
        Recording.load(path)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RecordingError, match="do not match their checksum"):
        Recording.load(path)
    save_file({"x": th.zeros(3)}, path)
    with pytest.raises(RecordingError, match=r"not one of sb3-distill|expected torch.int64"):
        Recording.load(path)
