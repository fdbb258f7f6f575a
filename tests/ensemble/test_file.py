"""The file of an ensemble: what it brings back, and what it refuses."""

import json
import os

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import OwnExtractor, random_dataset, simplex_dataset
from stable_baselines3.common.policies import ActorCriticPolicy

from sb3_distill import DistilledEnsemble, SyntheticDataset
from sb3_distill.dataset.file import read, write
from sb3_distill.ensemble import drawing
from sb3_distill.ensemble.files.content import ENSEMBLE
from sb3_distill.errors import ArgumentError, DatasetError

BOX = spaces.Box(-1, 1, (3,))
SHAPES = [{"width": [4, 8], "depth": [1, 3], "layer_norm": 0.5}, {"policy_kwargs": {"net_arch": [5]}}]


class OtherPolicy(ActorCriticPolicy):
    """A class that a file cannot name."""


def outputs_of(ensemble):
    with th.no_grad():
        return ensemble._see(th.ones(2, 3))[0]


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        dict(combine="median", seed=7),
        dict(inner_loop="ridge", learner_distribution=SHAPES),
        dict(policy_kwargs=dict(net_arch=[8], activation_fn=th.nn.ReLU)),
    ],
    ids=["plain", "rule", "shapes", "arguments"],
)
def test_a_file_brings_the_ensemble_back(arguments, weights, tmp_path):
    random_dataset(BOX, spaces.Box(-1, 1, (2,))).save(tmp_path / "set.safetensors")
    ensemble = DistilledEnsemble.from_dataset(tmp_path / "set.safetensors", 6, device="cpu", **arguments).take([1, 3, 4])
    ensemble.save(tmp_path / "ensemble.safetensors", weights=weights)
    again = DistilledEnsemble.load(tmp_path / "ensemble.safetensors", device="cpu")
    assert again.indices == [1, 3, 4]
    assert again.combine == ensemble.combine
    np.testing.assert_array_equal(outputs_of(again), outputs_of(ensemble))


def test_a_file_names_a_shipped_set_and_is_small(tmp_path):
    DistilledEnsemble.from_dataset("NDCartPole2D-v0", 20).save(tmp_path / "few.safetensors")
    DistilledEnsemble.from_dataset("NDCartPole2D-v0", 20).save(tmp_path / "all.safetensors", weights=True)
    assert os.path.getsize(tmp_path / "few.safetensors") < 8_000 < 300_000 < os.path.getsize(tmp_path / "all.safetensors")
    assert DistilledEnsemble.load(tmp_path / "few.safetensors").n_members == 20


def test_a_set_without_a_file_is_passed(tmp_path):
    dataset, path = simplex_dataset(2, 10.0), tmp_path / "ensemble.safetensors"
    DistilledEnsemble.from_dataset(dataset, 2).save(path)
    with pytest.raises(ArgumentError, match="it does not name its set: pass it as `dataset`"):
        DistilledEnsemble.load(path)
    assert DistilledEnsemble.load(path, dataset).n_members == 2
    with pytest.raises(DatasetError, match="its members were taught another set: its hash is .* pass the set"):
        DistilledEnsemble.load(path, simplex_dataset(2, 9.0))
    with pytest.raises(DatasetError, match="its members were taught another set"):
        DistilledEnsemble.load(path, "NDCartPole2D-v0")


def test_a_set_that_is_gone_is_named(tmp_path):
    random_dataset(BOX, spaces.Discrete(3)).save(tmp_path / "set.safetensors")
    DistilledEnsemble.from_dataset(tmp_path / "set.safetensors", 2).save(tmp_path / "ensemble.safetensors")
    (tmp_path / "set.safetensors").unlink()
    with pytest.raises(ArgumentError, match="its set 'set.safetensors' is neither shipped nor beside it"):
        DistilledEnsemble.load(tmp_path / "ensemble.safetensors")


def other_numbers(monkeypatch):
    """Another version of PyTorch, in which the second learner of a draw has other parameters."""
    initial = drawing.Drawing.initial

    def changed(self):
        learners = initial(self)
        for value in learners.groups[0].params.values():
            value[1] += 1.0
        return learners

    monkeypatch.setattr(drawing.Drawing, "initial", changed)


def test_a_member_that_is_drawn_with_other_numbers_is_named(tmp_path, monkeypatch):
    dataset = random_dataset(BOX, spaces.Discrete(3))
    ensemble = DistilledEnsemble.from_dataset(dataset, 3)
    ensemble.save(tmp_path / "ensemble.safetensors")
    ensemble.save(tmp_path / "weights.safetensors", weights=True)
    other_numbers(monkeypatch)
    with pytest.raises(DatasetError, match="member 1 is drawn with other numbers here than .* save.weights=True. keeps"):
        DistilledEnsemble.load(tmp_path / "ensemble.safetensors", dataset)
    again = DistilledEnsemble.load(tmp_path / "weights.safetensors", dataset)
    np.testing.assert_array_equal(outputs_of(again), outputs_of(ensemble))


def test_a_member_that_is_taught_otherwise_is_named(tmp_path, monkeypatch):
    dataset = random_dataset(BOX, spaces.Discrete(3))
    DistilledEnsemble.from_dataset(dataset, 3).save(tmp_path / "ensemble.safetensors")
    teach = SyntheticDataset.teach
    monkeypatch.setattr(SyntheticDataset, "teach", lambda self, learners: teach(self, learners, -self.labels))
    with pytest.raises(DatasetError, match="member 0 is taught to other outputs here"):
        DistilledEnsemble.load(tmp_path / "ensemble.safetensors", dataset)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(members=[0, 5]), "`members` is .0, 5., of 3 that are drawn"),
        (dict(members=[]), "`members` is"),
        (dict(n_drawn=10**7), "`n_drawn` is 10000000, and at most 10,000 are drawn"),
        (dict(seed="one"), "`seed` is 'one'"),
        (dict(seed=10**30), "`seed` has a number beyond"),
        (dict(combine="mean"), "the rule 'mean' does not fit"),
        (dict(policy="Nobody"), "unknown `policy` 'Nobody'"),
        (dict(policy_kwargs={"net_arch": [10**6]}), "`net_arch` of the policy is"),
        (dict(n_drawn=9_000, policy_kwargs={"net_arch": [2_000, 2_000]}), "9,000 learners of 4,0.* weights are more than"),
        (dict(n_drawn=9_000, learner_distribution=[{"width": 2_000}]), "9,000 learners of 8,000,000 weights are more than"),
        (dict(learner_distribution=[{"width": 16_000}]), "`learner_distribution` asks for too large networks"),
        (dict(learner_distribution=[{"width": "wide"}]), "`learner_distribution` has a size 'wide'"),
        (dict(learner_distribution=[{"policy": "MlpPolicy"}]), "`learner_distribution` has"),
        (dict(learner_distribution=[{"breadth": 3}]), "unknown keys .'breadth'."),
        (dict(inner_loop={"name": "none"}), "unknown `inner_loop` 'none'"),
        (dict(inner_loop={"speed": 1}), "malformed metadata"),
        (dict(digests=["0"]), "there are 3 members and 1 digests"),
        (dict(dataset={"name": "../set.safetensors", "sha256": "0"}), "`dataset` is"),
        (dict(dataset={"sha256": "0"}), "`dataset` is"),
        (dict(weights=True), "`weights.0.latent"),
        (dict(versions=None), "`versions` is None"),
    ],
    ids=str,
)
def test_hostile_metadata_are_refused_in_a_sentence(changes, message, tmp_path):
    dataset, path = random_dataset(BOX, spaces.Discrete(3)), tmp_path / "ensemble.safetensors"
    DistilledEnsemble.from_dataset(dataset, 3).save(path)
    info, tensors = read(path, ENSEMBLE)
    write(path, tensors, {**info, **changes}, ENSEMBLE)
    with pytest.raises(DatasetError, match=message) as caught:
        DistilledEnsemble.load(path, dataset)
    assert str(caught.value).startswith(str(path))


def test_damaged_and_foreign_files_are_refused(tmp_path):
    dataset, path = random_dataset(BOX, spaces.Discrete(3)), tmp_path / "ensemble.safetensors"
    DistilledEnsemble.from_dataset(dataset, 3).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DatasetError, match="it is damaged: its contents do not match their checksum"):
        DistilledEnsemble.load(path, dataset)
    path.write_bytes(content[:100])
    with pytest.raises(DatasetError, match="it is not a readable safetensors file"):
        DistilledEnsemble.load(path, dataset)
    dataset.save(path)
    with pytest.raises(DatasetError, match="a safetensors file, but a dataset of it"):
        DistilledEnsemble.load(path, dataset)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="a safetensors file, but an ensemble of it"):
        SyntheticDataset.load(path)
    info, tensors = read(path, ENSEMBLE)
    for name in ("probes", "probe_outputs"):
        write(path, {key: value for key, value in tensors.items() if key != name}, info, ENSEMBLE)
        with pytest.raises(DatasetError, match=f"`{name}` is missing"):
            DistilledEnsemble.load(path, dataset)
    write(path, tensors, {key: value for key, value in info.items() if key != "seed"}, ENSEMBLE)
    with pytest.raises(DatasetError, match="`seed` is missing"):
        DistilledEnsemble.load(path, dataset)
    with pytest.raises(FileNotFoundError, match="there is no ensemble file"):
        DistilledEnsemble.load(tmp_path / "nothing.safetensors")


def test_what_a_file_cannot_hold_is_refused_and_nothing_written(tmp_path):
    dataset = random_dataset(BOX, spaces.Discrete(3))
    path = tmp_path / "ensemble.safetensors"
    with pytest.raises(ArgumentError, match="a file cannot name the class OtherPolicy of the members"):
        DistilledEnsemble.from_dataset(dataset, 2, policy=OtherPolicy).save(path)
    with pytest.raises(ArgumentError, match="a file cannot hold `policy_kwargs`"):
        DistilledEnsemble.from_dataset(dataset, 2, policy_kwargs=dict(features_extractor_class=OwnExtractor)).save(path)
    mixture = [{"policy": ActorCriticPolicy}, {}]
    with pytest.raises(ArgumentError, match="a file cannot hold a `learner_distribution` with classes of policies"):
        DistilledEnsemble.from_dataset(dataset, 2, learner_distribution=mixture).save(path)
    with pytest.raises(ArgumentError, match=r"an ensemble file must be called \*.safetensors"):
        DistilledEnsemble.from_dataset(dataset, 2).save(tmp_path / "ensemble.zip")
    assert list(tmp_path.iterdir()) == []


def test_the_file_says_what_it_is(tmp_path):
    DistilledEnsemble.from_dataset("NDCartPole2D-v0", 3, seed=4).save(tmp_path / "ensemble.safetensors")
    info, _ = read(tmp_path / "ensemble.safetensors", ENSEMBLE)
    assert json.loads(json.dumps(info))["dataset"]["name"] == "NDCartPole2D-v0"
    assert (info["seed"], info["members"], info["combine"], len(info["digests"])) == (4, [0, 1, 2], "vote-sampled", 3)
