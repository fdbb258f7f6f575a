"""The dataset file: what is saved is what is loaded, and what is damaged is refused with the reason."""

import json
import pickle

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import simplex_dataset
from safetensors import safe_open
from safetensors.torch import save_file
from stable_baselines3.common.torch_layers import NatureCNN
from torch import nn

from sb3_distill import DatasetError, DistilledPolicy, SyntheticDataset, min_instances, shipped_sets
from sb3_distill.dataset.file import digest_of
from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.normalization import Normalization
from sb3_distill.inner_loop.gradient_steps import GradientSteps
from sb3_distill.networks.policy_kwargs import policy_kwargs_from_json, policy_kwargs_to_json
from sb3_distill.spaces.serialization import space_from_json, space_to_json
from sb3_distill.spaces.sizes import n_outputs

SPACES = [
    spaces.Box(-1, 1, (3,)),
    spaces.Box(np.array([-1.0, -np.inf], dtype=np.float32), np.array([2.5, np.inf], dtype=np.float32)),
    spaces.Box(0, 255, (4, 8, 8), np.uint8),
    spaces.Discrete(4),
    spaces.Discrete(4, start=2),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiBinary(3),
    spaces.MultiBinary([2, 3]),
    spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(0, 1, (2, 2))}),
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "set.safetensors"
    simplex_dataset(2, 10.0).save(path)
    return path


def rewrite(path, change_tensors=None, change_metadata=None):
    """Change a file and make its checksum right again, so that the deeper checks are reached."""
    with safe_open(path, "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    if change_tensors:
        change_tensors(tensors)
    if change_metadata:
        change_metadata(metadata)
    metadata["sha256"] = digest_of(tensors, metadata["info"])
    save_file(tensors, path, metadata)


def test_round_trip(path):
    original, loaded = simplex_dataset(2, 10.0), SyntheticDataset.load(path)
    assert original.state_dict().keys() == loaded.state_dict().keys()
    for name, value in original.state_dict().items():
        assert th.equal(value, loaded.state_dict()[name])
    assert loaded.info == original.info
    assert loaded.n_instances == 3
    assert path.stat().st_size < 4000


def test_round_trip_of_everything(tmp_path):
    space = spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(0, 1, (2, 2))})
    loop = GradientSteps(3, 0.2)
    statistics = {"b": np.arange(4.0).reshape(2, 2)}
    info = DatasetInfo(
        space, spaces.Box(-1, 1, (2,)), "X-v0", {"n": 1}, inner_loop=loop.settings(), seed=3, timesteps=7,
        scores={"sampled": {"mean": 1.0}}, normalization=Normalization(statistics, {"b": np.ones((2, 2))}, clip=5.0),
    )  # fmt: skip
    dataset = SyntheticDataset({"a": th.randn(4, 2), "b": th.randn(4, 2, 2)}, th.randn(4, 2), loop, info, log_std=th.zeros(2))
    dataset.save(tmp_path / "deep" / "set.safetensors")
    loaded = SyntheticDataset.load(tmp_path / "deep" / "set.safetensors")
    for name, value in dataset.state_dict().items():
        assert th.equal(value, loaded.state_dict()[name])
    assert loaded.inner_loop.n_steps == 3
    normalization = loaded.info.normalization
    np.testing.assert_array_equal(normalization.mean["b"], statistics["b"])
    assert normalization.clip == 5.0
    assert loaded.info.scores == info.scores
    observation = {"a": 1, "b": np.full((2, 2), 100.0)}
    assert (normalization(observation)["b"] == 5.0).all()
    assert normalization(observation)["a"] == 1


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_spaces_survive_json(space):
    assert space_from_json(json.loads(json.dumps(space_to_json(space)))) == space


def test_policy_arguments_survive_json():
    kwargs = {"net_arch": {"pi": [8], "vf": []}, "activation_fn": nn.ReLU, "features_extractor_class": NatureCNN}
    assert policy_kwargs_from_json(json.loads(json.dumps(policy_kwargs_to_json(kwargs)))) == kwargs

    class Own(nn.Module):
        pass

    assert policy_kwargs_to_json({"activation_fn": Own}) is None


def test_min_instances_is_equation_3():
    assert [min_instances(spaces.Discrete(c)) for c in (2, 4, 6, 9, 18)] == [2, 3, 4, 6, 10]
    assert min_instances(spaces.MultiDiscrete([3, 4])) == 5
    assert min_instances(spaces.MultiBinary(3)) == 4
    with pytest.raises(ValueError, match="n_instances"):
        min_instances(spaces.Box(-1, 1, (2,)))
    assert [n_outputs(space) for space in (spaces.Discrete(4), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3))] == [
        4,
        5,
        3,
    ]


def test_unknown_files_and_names(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no dataset file"):
        SyntheticDataset.load(tmp_path / "nothing.safetensors")
    with pytest.raises(FileNotFoundError, match="no shipped dataset is called 'Nothing-v0'"):
        SyntheticDataset.load("Nothing-v0")


def test_truncated_file(path):
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match="not a readable safetensors file"):
        SyntheticDataset.load(path)


def test_every_flipped_bit_is_noticed(path):
    content = path.read_bytes()
    for position in range(8, len(content), 37):
        damaged = bytearray(content)
        damaged[position] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(DatasetError):
            SyntheticDataset.load(path)


def test_renamed_pickle(path):
    path.write_bytes(pickle.dumps({"labels": [1, 2]}))
    with pytest.raises(DatasetError, match="renamed"):
        SyntheticDataset.load(path)


def test_foreign_safetensors(path):
    save_file({"x": th.zeros(1)}, path)
    with pytest.raises(DatasetError, match="not one of sb3-distill"):
        SyntheticDataset.load(path)


def test_nan_in_a_tensor(path):
    rewrite(path, lambda tensors: tensors["labels"].__setitem__((0, 0), float("nan")))
    with pytest.raises(DatasetError, match="`labels` contains NaN"):
        SyntheticDataset.load(path)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("labels", th.zeros(3, 5), r"`labels` has shape \(3, 5\), expected \('k', 4\)"),
        ("observations", th.zeros(2, 8), r"`observations` has shape \(2, 8\), expected \(3, 8\)"),
        ("observations", th.zeros(3, 8, 1), "`observations` has shape"),
        ("log_inner_learning_rates", th.zeros(2, 1), "`log_inner_learning_rates` has shape"),
        ("labels", th.zeros(3, 4, dtype=th.float64), "`labels` has dtype torch.float64"),
    ],
)
def test_wrong_shapes_and_types(path, name, value, message):
    rewrite(path, lambda tensors: tensors.__setitem__(name, value))
    with pytest.raises(DatasetError, match=message):
        SyntheticDataset.load(path)


def test_missing_tensor(path):
    rewrite(path, lambda tensors: tensors.pop("labels"))
    with pytest.raises(DatasetError, match="`labels` is missing"):
        SyntheticDataset.load(path)


def test_newer_format(path):
    rewrite(path, change_metadata=lambda metadata: metadata.__setitem__("format_version", "99"))
    with pytest.raises(DatasetError, match="format version 99.*upgrade"):
        SyntheticDataset.load(path)


def test_malformed_metadata(path):
    rewrite(path, change_metadata=lambda metadata: metadata.__setitem__("info", "{}"))
    with pytest.raises(DatasetError, match="malformed metadata"):
        SyntheticDataset.load(path)


def test_unknown_inner_loop(path):
    def change(metadata):
        info = json.loads(metadata["info"])
        info["inner_loop"] = {"name": "nonsense"}
        metadata["info"] = json.dumps(info)

    rewrite(path, change_metadata=change)
    with pytest.raises(DatasetError, match="unknown inner loop 'nonsense'"):
        SyntheticDataset.load(path)


@pytest.mark.parametrize("name", shipped_sets())
def test_shipped_sets_load_and_are_small(name):
    dataset = SyntheticDataset.load(name)
    assert name.startswith(dataset.info.env_id)
    assert dataset.info.scores["sampled"]["n_learners"] >= 20


def test_statistics_must_fit_and_nothing_else_may_be_there(path):
    rewrite(path, lambda tensors: tensors.update(obs_mean=th.zeros(3, dtype=th.float64), obs_var=th.ones(3, dtype=th.float64)))
    with pytest.raises(DatasetError, match=r"malformed metadata|`obs_mean` has shape \(3,\)"):
        SyntheticDataset.load(path)
    simplex_dataset(2, 10.0).save(path)
    rewrite(path, lambda tensors: tensors.update(stowaway=th.zeros(1)))
    with pytest.raises(DatasetError, match="unknown tensors stowaway"):
        SyntheticDataset.load(path)
    simplex_dataset(2, 10.0).save(path)
    rewrite(path, lambda tensors: tensors.update(log_std=th.zeros(4)))
    with pytest.raises(DatasetError, match="`log_std` must be there for a Box"):
        SyntheticDataset.load(path)
    simplex_dataset(2, 10.0).save(path)
    rewrite(path, lambda tensors: tensors.update(labels=th.zeros(0, 4), observations=th.zeros(0, 8)))
    with pytest.raises(DatasetError, match="no instances"):
        SyntheticDataset.load(path)


def test_negative_variances_and_other_endings(tmp_path):
    dataset = simplex_dataset(2, 10.0)
    dataset.info.normalization = Normalization(np.zeros(8), -np.ones(8))
    dataset.save(tmp_path / "set.safetensors")
    with pytest.raises(DatasetError, match="negative"):
        SyntheticDataset.load(tmp_path / "set.safetensors")
    with pytest.raises(ValueError, match=r"must be called \*.safetensors"):
        dataset.save(tmp_path / "set.bin")


def test_another_version_of_a_task_is_refused():
    dataset = SyntheticDataset.load("Ant-v4/sgd")
    told = r"Box\(27,\), the environment has Box\(105,\); it was made on Ant-v4, and versions of a task may show different"
    with pytest.raises(DatasetError, match=told):
        dataset.check_spaces(spaces.Box(-np.inf, np.inf, (105,)), dataset.info.action_space)
    policy = DistilledPolicy.from_dataset(dataset, seed=0)
    with pytest.raises(ValueError, match=r"shape \(105,\), the dataset was made for Box\(27,\)"):
        policy.predict(np.zeros(105))
