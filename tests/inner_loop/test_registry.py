"""A new kind of inner learning is one class and one entry."""

from typing import ClassVar

import pytest
import torch as th

from sb3_distill import PPMO, SyntheticDataset, make_vec_env
from sb3_distill.inner_loop import INNER_LOOPS, nothing_discarded


class Shift:
    """Moves the last layer by the first label, and scales the first layer."""

    name = "shift"
    arguments: ClassVar = {}

    def initial_parameters(self):
        return {"log_shift": th.zeros(1)}

    def bounds(self):
        return {"log_shift": (-3.0, 3.0)}

    def train(self, actor, params, observations, labels, learned):
        shift = learned["log_shift"].exp()
        changed = {"head.weight": params["head.weight"] + shift * labels[0].unsqueeze(1)}
        changed["latent.0.weight"] = params["latent.0.weight"] * (1 + observations.mean())
        return nothing_discarded({**params, **changed})

    def rates(self, learned):
        return {"shift": float(learned["log_shift"].detach().exp())}

    def settings(self):
        return {"name": self.name}


def test_a_registered_loop_is_an_argument_and_is_stored(monkeypatch, tmp_path):
    monkeypatch.setitem(INNER_LOOPS, "shift", Shift)
    env = make_vec_env("NDCartPole1D-v0", 8)
    model = PPMO("MlpPolicy", env, n_steps=8, n_learners=8, inner_loop="shift", seed=0)
    model.learn(192)
    assert model.dataset.learned["log_shift"].item() != 0
    model.save(tmp_path / "model.zip")
    assert isinstance(PPMO.load(tmp_path / "model.zip").dataset.inner_loop, Shift)
    model.dataset.save(tmp_path / "dataset.safetensors")
    dataset = SyntheticDataset.load(tmp_path / "dataset.safetensors")
    assert dataset.learned["log_shift"].equal(model.dataset.learned["log_shift"])
    with pytest.raises(ValueError, match="`n_inner_steps` must be 1 for the inner loop 'shift'"):
        PPMO("MlpPolicy", env, inner_loop="shift", n_inner_steps=2)
