"""Step sizes and bounds that change with the remaining progress."""

import numpy as np
import pytest
from contract import ROLLOUT, SB3S, column, make, spaces_env
from helpers import SMALL, small_env
from stable_baselines3.common.utils import LinearSchedule

from sb3_distill import PPMO


@pytest.mark.parametrize(
    "schedule", [lambda left: 0.1 * left, LinearSchedule(0.1, 0.0, 1.0)], ids=["lambda", "LinearSchedule"]
)
def test_schedules_are_followed_and_saved(schedule, tmp_path, log_to_csv):
    names = ("learning_rate", "clip_range", "clip_range_vf")
    model = make(**dict.fromkeys((*names, "labels_learning_rate", "critic_learning_rate"), schedule))
    for total in (4 * ROLLOUT, 3 * ROLLOUT):  # the second time from a file
        log_to_csv(model, tmp_path / str(total))
        model.learn(total)
        expected = [0.1 * (1 - step / total) for step in range(ROLLOUT, total, ROLLOUT)]
        for name in names:
            np.testing.assert_allclose(column(tmp_path / str(total), f"train/{name}"), expected, atol=1e-9)
        model.save(tmp_path / "model")
        model = PPMO.load(tmp_path / "model", env=spaces_env())


def test_rates_follow_learning_rate_unless_given():
    model = PPMO(
        "MlpPolicy", small_env(), learning_rate=1.0, labels_learning_rate=lambda p: 3 * p, critic_learning_rate=0.5, **SMALL
    )
    rates = model._step_sizes()
    assert rates["learning"] == 1.0
    assert rates["labels"] == 3.0
    assert rates["critic"] == 0.5
    model._current_progress_remaining = 0.5
    assert model._step_sizes()["labels"] == 1.5


@pytest.mark.parametrize(
    "name",
    ["gamma", "gae_lambda", "ent_coef", "vf_coef", "max_grad_norm", "weight_decay", "inner_learning_rate", "n_inner_steps"]
    + [pytest.param(name) for name in ("n_steps", "batch_size", "n_epochs", "n_learners", "target_kl")],
)
def test_schedules_are_refused_where_there_are_none(name):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        make(**{name: lambda left: left}).learn(ROLLOUT)


@pytest.mark.parametrize(
    "name, value",
    [
        ("learning_rate", -1.0), ("learning_rate", "nonsense"), ("critic_learning_rate", -1.0), ("clip_range_vf", -1.0),
        ("clip_range", "nonsense"), ("labels_learning_rate", "nonsense"),
        pytest.param("labels_learning_rate", -1.0),
        pytest.param("clip_range", -1.0),
    ],
)  # fmt: skip
def test_rates_that_make_no_sense_are_refused(name, value):
    with pytest.raises(SB3S, match=r"(?i)learning rate|schedule|must be positive|must not be negative"):
        make(**{name: value}).learn(ROLLOUT)
