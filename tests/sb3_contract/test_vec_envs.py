"""Vector environments of SB3 and Gymnasium, wrapped or not."""

from functools import partial

import gymnasium as gym
import pytest
import torch as th
from contract import (
    BOX,
    DISCRETE,
    IMAGE,
    N_ENVS,
    N_LEARNERS,
    ROLLOUT,
    VECTORS,
    assert_acts,
    make,
    spaces_env,
    through_a_file,
    vectorized,
)
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from helpers import SMALL
from stable_baselines3.common.vec_env import (
    SubprocVecEnv,
    VecCheckNan,
    VecEnv,
    VecExtractDictObs,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from sb3_distill import PPMO


class OwnVecEnv(VecEnv):
    """A simulator of many environments, which as many do refuses access to single ones."""

    def __init__(self):
        self.env = spaces_env()
        self.render_mode = None
        super().__init__(N_ENVS, BOX, DISCRETE)

    def reset(self):
        return self.env.reset()

    def step_async(self, actions):
        self.env.step_async(actions)

    def step_wait(self):
        return self.env.step_wait()

    def close(self):
        self.env.close()

    def get_attr(self, attr_name, indices=None):
        if attr_name == "render_mode":
            return [None] * N_ENVS
        raise NotImplementedError

    def set_attr(self, attr_name, value, indices=None):
        raise NotImplementedError

    def env_method(self, method_name, *args, indices=None, **kwargs):
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False] * N_ENVS


VEC_ENVS = {
    "SubprocVecEnv": partial(spaces_env, cls=SubprocVecEnv, start_method="fork"),
    "SyncVectorEnv": partial(vectorized, SyncVectorEnv),
    "AsyncVectorEnv": partial(vectorized, AsyncVectorEnv),
    "VecMonitor": lambda: VecMonitor(spaces_env()),
    "VecCheckNan": lambda: VecCheckNan(VecMonitor(spaces_env()), raise_exception=True),
    "VecFrameStack-SubprocVecEnv": lambda: VecFrameStack(VecMonitor(VEC_ENVS["SubprocVecEnv"]()), 2),
    "VecFrameStack-images": lambda: VecFrameStack(spaces_env(IMAGE), 2),
    "VecExtractDictObs": lambda: VecExtractDictObs(spaces_env(VECTORS), "two"),
}


@pytest.mark.parametrize("build", VEC_ENVS.values(), ids=VEC_ENVS)
def test_vec_envs(build, tmp_path):
    model = make(build()).learn(2 * ROLLOUT)
    try:
        assert model.num_timesteps == 2 * ROLLOUT
        monitored = isinstance(model.get_env(), VecMonitor) or isinstance(getattr(model.get_env(), "venv", None), VecMonitor)
        assert bool(model.ep_info_buffer) == monitored
        assert_acts(through_a_file(model, tmp_path), model.get_env().reset(), DISCRETE)
    finally:
        model.get_env().close()


def test_vec_envs_without_access_to_single_environments(tmp_path):
    model = make(OwnVecEnv()).learn(2 * ROLLOUT)
    assert_acts(through_a_file(model, tmp_path), spaces_env().reset(), DISCRETE)


def test_gymnasium_vector_envs_are_taken_if_they_reset_in_the_same_step():
    env = gym.make_vec("NDCartPole2D-v0", num_envs=8, autoreset_mode=AutoresetMode.SAME_STEP)
    PPMO("MlpPolicy", env, **SMALL).learn(256)
    with pytest.raises(ValueError, match="autoreset mode NEXT_STEP, but SB3 needs SAME_STEP: make it with"):
        PPMO("MlpPolicy", gym.make_vec("NDCartPole2D-v0", num_envs=8), **SMALL)


def test_set_env_and_get_env(tmp_path):
    model = make(VecMonitor(spaces_env()), normalize=False).learn(ROLLOUT)
    with pytest.raises(ValueError, match="made without normalised observations: leave out the VecNormalize"):
        model.set_env(VecNormalize(VecMonitor(spaces_env())))
    for env in (VecNormalize(VecMonitor(spaces_env()), norm_obs=False), VecMonitor(spaces_env())):
        model.set_env(env)
        assert model.get_env() is env
        assert model.get_vec_normalize_env() is (env if isinstance(env, VecNormalize) else None)
        model.learn(ROLLOUT, reset_num_timesteps=False)
    model.set_env(vectorized(SyncVectorEnv))
    assert model.learn(ROLLOUT, reset_num_timesteps=False).num_timesteps == 4 * ROLLOUT
    with pytest.raises(AssertionError, match=r"8 != 4.*`set_env` requires them to be the same.*PPMO\.load\(path, env\)"):
        model.set_env(spaces_env(n_envs=8))
    model.save(tmp_path / "model")
    loaded = PPMO.load(tmp_path / "model", env=spaces_env(n_envs=8))
    before = loaded.dataset.labels.detach().clone()
    assert loaded.n_envs == 8
    assert loaded.num_timesteps == 4 * ROLLOUT
    assert loaded.learn(2 * ROLLOUT, reset_num_timesteps=False).num_timesteps == 6 * ROLLOUT
    assert loaded.learners.n_learners == N_LEARNERS
    assert not th.equal(loaded.dataset.labels, before)
