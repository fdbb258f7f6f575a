"""An ensemble as a program acts as ``predict`` does."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import random_dataset

from sb3_distill import DistilledEnsemble
from sb3_distill.dataset.normalization import Normalization

BOX = spaces.Box(-1, 1, (3,))
ONNX = all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "actions, rule",
    [
        (spaces.Discrete(3), "vote"),
        (spaces.MultiDiscrete([2, 3]), "auto"),
        (spaces.MultiBinary(2), "logits"),
        (spaces.Box(-0.5, 0.5, (2,)), "median"),
    ],
    ids=str,
)
def test_programs_act_as_the_ensemble_does(actions, rule, tmp_path):
    dataset = random_dataset(BOX, actions)
    dataset.set_normalization(Normalization(np.zeros(3), np.full(3, 0.25), clip=1.0, epsilon=1e-8))
    ensemble = DistilledEnsemble.from_dataset(
        dataset, 4, learner_distribution=[{"width": [4, 6], "depth": [1, 2]}], combine=rule, device="cpu"
    )
    ensemble.export(tmp_path / ("agent" if ONNX else "agent.pt2"))
    program = th.export.load(tmp_path / "agent.pt2").module()
    for n in (1, 5):
        raw = np.random.default_rng(n).uniform(-1, 1, (n, 3)).astype(np.float32)
        expected, _ = ensemble.predict(raw, deterministic=True)
        np.testing.assert_allclose(program(th.as_tensor(raw)).numpy(), expected, rtol=1e-4, atol=1e-5)
        if ONNX:
            import onnxruntime

            (action,) = onnxruntime.InferenceSession(str(tmp_path / "agent.onnx")).run(["action"], {"observation": raw})
            np.testing.assert_allclose(action, expected, rtol=1e-4, atol=1e-5)
