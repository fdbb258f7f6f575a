"""Learners in environments that say which actions are allowed."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

from sb3_distill import PPMO, evaluate_learners
from sb3_distill.dagger.masks import are_allowed
from sb3_distill.report.video import watch
from sb3_distill.spaces.sizes import n_classes

KINDS = {"Discrete": spaces.Discrete(5), "MultiDiscrete": spaces.MultiDiscrete([2, 3]), "MultiBinary": spaces.MultiBinary(3)}


class Locks(gym.Env):
    """One allowed action, which the observation does not show; any other one is an error."""

    observation_space = spaces.Box(0, 1, (2,), np.float32)

    def __init__(self, actions=KINDS["Discrete"], width=None):
        self.action_space = actions
        self.width = n_classes(actions) if width is None else width

    def action_masks(self):
        mask = np.zeros(self.width, dtype=bool)
        sizes = getattr(self.action_space, "nvec", [2] * 3 if isinstance(self.action_space, spaces.MultiBinary) else [5])
        first = np.cumsum(sizes) - sizes
        mask[first + np.reshape(self.allowed, -1).astype(int)] = True
        return mask

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.action_space.seed(seed)
        self.t, self.allowed = 0, self.action_space.sample()
        return np.ones(2, np.float32), {}

    def step(self, action):
        if not are_allowed(np.asarray([action]), self.action_masks()[None], self.action_space)[0]:
            raise RuntimeError("locked")
        self.t, self.allowed = self.t + 1, self.action_space.sample()
        return np.ones(2, np.float32), 1.0, self.t >= 6, False, {}


class WithoutMasks(Locks):
    """The same for whoever does not ask."""

    action_masks = None

    def step(self, action):
        self.t += 1
        return np.ones(2, np.float32), 1.0, self.t >= 6, False, {}


def dataset(actions):
    env = DummyVecEnv([lambda: WithoutMasks(actions)] * 2)
    return PPMO("MlpPolicy", env, n_instances=8, n_learners=2, n_steps=8, batch_size=8, seed=0).dataset


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("actions", KINDS.values(), ids=KINDS)
def test_learners_take_allowed_actions_only(actions, deterministic):
    evaluation = evaluate_learners(dataset(actions), 3, 2, deterministic, env=lambda: Locks(actions))
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
    assert (evaluate_learners(dataset(KINDS["Discrete"]), 2, 3, env=env).returns == 6).all()
    env.close()


def test_a_mask_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"`action_masks` of an environment has 7 entries, .* has 5 choices"):
        evaluate_learners(dataset(KINDS["Discrete"]), 2, 1, env=lambda: Locks(width=7))


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
    total, _ = watch(dataset(KINDS["Discrete"]), tmp_path / "film.gif", policy=maskable, env=Drawn)
    assert total == 6
