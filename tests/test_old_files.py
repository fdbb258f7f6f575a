"""Files of every released version are read for ever; ``tests/data/make.py`` made them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from make import KINDS, answers_of, box_env, observations_of

from sb3_distill import PPMO, DistilledPolicy, SyntheticDataset
from sb3_distill.rollback.checkpoints import Checkpoints, resume

DATA = Path(__file__).parent / "data"
pytestmark = pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="NumPy 1 cannot read pickles of NumPy 2")
VERSIONS = sorted(path.name for path in DATA.iterdir() if path.is_dir() and path.name[0].isdigit())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", VERSIONS)
class TestEveryKind:
    def test_a_model_predicts_as_before(self, version, kind):
        env = KINDS[kind][0]()
        model = PPMO.load(DATA / version / f"{kind}.zip", device="cpu")
        known = json.loads((DATA / version / "answers.json").read_text())[kind]
        np.testing.assert_allclose(answers_of(model, observations_of(env)), known, atol=1e-5)

    def test_a_model_goes_on_learning(self, version, kind):
        env = KINDS[kind][0]()
        model = PPMO.load(DATA / version / f"{kind}.zip", env, device="cpu")
        before = model.dataset.labels.detach().clone(), model.num_timesteps, model.dataset.info.timesteps
        model.learn(4 * 16, reset_num_timesteps=False)
        assert model.num_timesteps == before[1] + 64
        assert model.dataset.info.timesteps == before[2] + 64
        assert model.dataset.is_finite()
        assert not model.dataset.labels.equal(before[0])

    def test_a_model_is_saved_again(self, version, kind, tmp_path):
        env = KINDS[kind][0]()
        model = PPMO.load(DATA / version / f"{kind}.zip", device="cpu")
        model.save(tmp_path / "again.zip")
        again = PPMO.load(tmp_path / "again.zip", device="cpu")
        assert answers_of(again, observations_of(env)) == answers_of(model, observations_of(env))

    def test_a_dataset_is_that_of_its_model(self, version, kind):
        dataset = SyntheticDataset.load(DATA / version / f"{kind}.safetensors")
        model = PPMO.load(DATA / version / f"{kind}.zip", device="cpu")
        for name, value in model.dataset.state_dict().items():
            np.testing.assert_allclose(dataset.state_dict()[name].numpy(), value.numpy(), rtol=1e-6, atol=1e-7)
        assert dataset.info.inner_loop == model.dataset.info.inner_loop
        DistilledPolicy.from_dataset(dataset, seed=0, device="cpu")

    def test_arguments_are_what_they_were(self, version, kind):
        model = PPMO.load(DATA / version / f"{kind}.zip", device="cpu")
        arguments = KINDS[kind][2]
        assert model.inner_loop == arguments.get("inner_loop", "sgd")
        assert model.encoder_layers == arguments.get("encoder_layers", 0)
        assert model.n_instances == model.dataset.n_instances == arguments.get("n_instances", model.dataset.n_instances)
        assert model.n_learners == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_checkpoints_go_on(version, tmp_path):
    shutil.copytree(DATA / version / "checkpoints", tmp_path / "checkpoints")
    model = resume(PPMO, tmp_path / "checkpoints", box_env(), device="cpu")
    assert model.num_timesteps == 128
    model.learn(64, Checkpoints(tmp_path / "checkpoints", 0.0), reset_num_timesteps=False)
    assert resume(PPMO, tmp_path / "checkpoints", box_env(), device="cpu").num_timesteps == 192


@pytest.mark.parametrize("version", VERSIONS)
def test_numbers_of_a_model_may_not_change_on_load(version):
    with pytest.raises(ValueError, match="`n_instances` cannot change from 2 to 3"):
        PPMO.load(DATA / version / "discrete.zip", n_instances=3, device="cpu")
    with pytest.raises(ValueError, match="the inner loop cannot change"):
        PPMO.load(DATA / version / "discrete.zip", inner_loop="ridge", device="cpu")
    with pytest.raises(ValueError, match="`encoder_layers` cannot change from 1 to 0"):
        PPMO.load(DATA / version / "images.zip", encoder_layers=0, device="cpu")
