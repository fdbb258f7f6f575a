"""Learners in environments that say which actions are allowed."""

import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from locked import KINDS, Locks, dataset_of
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

from sb3_distill import evaluate_learners
from sb3_distill.report.video import watch


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("actions", KINDS.values(), ids=KINDS)
def test_learners_take_allowed_actions_only(actions, deterministic):
    evaluation = evaluate_learners(dataset_of(actions), 3, 2, deterministic, env=lambda: Locks(actions))
    assert (evaluation.returns == 6).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Locks(),
        lambda: SubprocVecEnv([Locks] * 2),
        lambda: VecNormalize(DummyVecEnv([Locks] * 3)),
        lambda: SyncVectorEnv([Locks] * 2, autoreset_mode=AutoresetMode.SAME_STEP),
        lambda: AsyncVectorEnv([Locks] * 2, autoreset_mode=AutoresetMode.SAME_STEP),
    ],
    ids=["one", "processes", "VecNormalize", "sync", "async"],
)
def test_masks_are_asked_for_wherever_environments_live(make):
    env = make()
    assert (evaluate_learners(dataset_of(KINDS["Discrete"]), 2, 3, env=env).returns == 6).all()
    env.close()


def test_a_mask_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"`action_masks` of an environment has 7 entries, .* has 5 choices"):
        evaluate_learners(dataset_of(KINDS["Discrete"]), 2, 1, env=lambda: Locks(width=7))


def test_films_and_taught_policies_use_masks_too(tmp_path):
    """The policy of MaskablePPO takes masks; it is filmed with those of the environment."""
    pytest.importorskip("sb3_contrib")
    from sb3_contrib import MaskablePPO

    class Drawn(Locks):
        metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012
        render_mode = "rgb_array"

        def render(self):
            return np.zeros((16, 16, 3), np.uint8)

    maskable = MaskablePPO.policy_aliases["MlpPolicy"]
    total, _ = watch(dataset_of(KINDS["Discrete"]), tmp_path / "film.gif", policy=maskable, env=Drawn)
    assert total == 6
