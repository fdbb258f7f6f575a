"""Environments in a few processes: what a user sees is a DummyVecEnv, but faster."""

import ctypes
import os
import signal
import subprocess
import sys
import time

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from helpers import FaultyEnv
from stable_baselines3.common.env_util import make_vec_env as sb3_make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_distill import PPMO
from sb3_distill.environments.worker_vec_env import WorkerVecEnv

PR_SET_CHILD_SUBREAPER = 36
"""A number of Linux."""


class Mixed(gym.Env):
    """Dict observations, options, an attribute, an episode of four steps."""

    observation_space = spaces.Dict({"a": spaces.Box(-9, 9, (2,)), "b": spaces.Discrete(9)})
    action_space = spaces.Discrete(3)
    render_mode = "rgb_array"
    size = 1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = (options or {}).get("start", 0)
        return self._observation(), {"start": self.steps}

    def step(self, action):
        self.steps += 1
        return self._observation(), float(action), False, self.steps >= 4, {"steps": self.steps}

    def _observation(self):
        return {"a": self.np_random.normal(size=2).astype(np.float32), "b": self.steps}

    def enlarge(self, by, twice=False):
        return self.size + by * (1 + twice)

    def secret(self):
        return lambda: 0  # cannot be pickled

    def render(self):
        return np.full((2, 2, 3), self.size, np.uint8)


@pytest.fixture
def env():
    env = WorkerVecEnv([Mixed] * 5, n_workers=2)
    yield env
    env.close()


@pytest.mark.parametrize("n_workers", [1, 3])
def test_steps_are_those_of_a_dummy_vec_env(n_workers):
    ours = sb3_make_vec_env("Pendulum-v1", 5, 3, vec_env_cls=WorkerVecEnv, vec_env_kwargs={"n_workers": n_workers})
    theirs = sb3_make_vec_env("Pendulum-v1", 5, 3)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    rng = np.random.default_rng(0)
    for _ in range(205):
        actions = rng.uniform(-2, 2, (5, 1)).astype(np.float32)
        mine, other = ours.step(actions), theirs.step(actions)
        for a, b in zip(mine[:3], other[:3], strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        for a, b, done in zip(mine[3], other[3], mine[2], strict=True):
            if done:
                np.testing.assert_array_equal(a.pop("terminal_observation"), b.pop("terminal_observation"))
                assert a.pop("episode")["r"] == b.pop("episode")["r"]
                assert a == b == {"TimeLimit.truncated": True}
            else:
                assert not a
    ours.close()


def test_dict_observations_seeds_and_options(env):
    other = DummyVecEnv([Mixed] * 5)
    for one in (env, other):
        one.seed(7)
        one.set_options([{"start": i} for i in range(5)])
    first, second = env.reset(), other.reset()
    assert all(np.array_equal(first[key], second[key]) for key in ("a", "b"))
    assert list(first["b"]) == [0, 1, 2, 3, 4]
    assert env.reset_infos == other.reset_infos
    assert list(env.reset()["b"]) == [0] * 5  # options hold for one reset


def test_attributes_and_methods_reach_the_right_environment(env):
    env.set_attr("size", 5, indices=[1, 3])
    assert env.get_attr("size") == [1, 5, 1, 5, 1]
    assert env.env_method("enlarge", 2, twice=True, indices=[0, 3]) == [5, 9]
    assert env.has_attr("size")
    assert not env.has_attr("colour")
    assert not any(env.env_is_wrapped(Monitor))
    assert [image.max() for image in env.get_images()] == [1, 5, 1, 5, 1]


def test_ppmo_learns_with_it():
    env = sb3_make_vec_env("CartPole-v1", 4, 0, vec_env_cls=WorkerVecEnv)
    model = PPMO("MlpPolicy", env, n_steps=64, seed=0).learn(2_000)
    assert model.ep_info_buffer
    assert model.dataset.info.env_id == "CartPole-v1"
    env.close()


def test_errors_come_back(env):
    with pytest.raises(RuntimeError, match="pickle.* in a worker"):
        env.env_method("secret")
    with pytest.raises(ValueError, match="got 0 and None"):
        WorkerVecEnv([])
    with pytest.raises(gym.error.NameNotFound):
        WorkerVecEnv([lambda: gym.make("NoSuchEnv-v0")])
    env = WorkerVecEnv([lambda: FaultyEnv(3, "reward")] * 2, n_workers=2)
    env.reset()
    with pytest.raises(ValueError, match="no index 7"):
        env.step(np.array([7, 0]))
    assert env.step(np.zeros(2, dtype=int))[0].shape == (2, 3)  # the pipes are still in step
    with pytest.raises(Exception, match="colour"):
        env.get_attr("colour")
    os.kill(env._processes[1].pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="the process of environments 1 to 1 has ended"):  # noqa: PT012
        for _ in range(3):  # it takes a moment until the pipe notices
            env.step(np.zeros(2, dtype=int))
    env.close()
    env.close()


def test_an_interrupted_step_goes_on_in_new_processes():
    env = WorkerVecEnv([lambda: gym.make("CartPole-v1")] * 4, n_workers=2)
    try:
        env.reset()
        before = [process.pid for process in env._processes]
        env.step_async(np.zeros(4, int))
        env.on_interruption()  # before the answers were read
        observations, rewards, _, _ = env.step(np.ones(4, int))
        assert observations.shape == (4, 4)
        assert (rewards == 1).all()
        assert not set(before) & {process.pid for process in env._processes}
        env.step(np.ones(4, int))
    finally:
        env.close()


def test_an_interruption_of_all_workers_is_that_of_the_terminal_and_of_one_is_an_interruption():
    env = WorkerVecEnv([lambda: gym.make("CartPole-v1")] * 4, n_workers=2)
    try:
        env.reset()
        for process in env._processes:
            os.kill(process.pid, signal.SIGINT)
            process.join(5)
        assert env.step(np.zeros(4, int))[0].shape == (4, 4)
        os.kill(env._processes[0].pid, signal.SIGINT)
        env._processes[0].join(5)
        with pytest.raises(KeyboardInterrupt, match="environments 0 to 1 was interrupted"):
            env.step(np.zeros(4, int))
        assert env.step(np.zeros(4, int))[0].shape == (4, 4)
    finally:
        env.close()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="only Linux tells")
def test_a_stopped_worker_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("sb3_distill.environments.worker_vec_env.PATIENCE", 0.2)
    env = WorkerVecEnv([lambda: gym.make("CartPole-v1")] * 4, n_workers=2)
    try:
        env.reset()
        os.kill(env._processes[1].pid, signal.SIGSTOP)
        with pytest.raises(RuntimeError, match="environments 2 to 3 was stopped"):
            env.step(np.zeros(4, int))
    finally:
        env.close()


ORPHANS = """
import sys, time, gymnasium as gym
from sb3_distill.environments.worker_vec_env import WorkerVecEnv
env = WorkerVecEnv([lambda: gym.make("CartPole-v1")] * 2, n_workers=2)
print(*[process.pid for process in env._processes], flush=True)
time.sleep(100)
"""


@pytest.fixture
def foster_parent():
    """This process gets the processes whose parent has ended, in place of the first one of the system, and waits for none."""
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
@pytest.mark.usefixtures("foster_parent")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_of_workers_nothing_is_left_when_their_parent_is_killed(number):
    with subprocess.Popen([sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True) as parent:
        workers = [int(word) for word in parent.stdout.readline().split()]
        assert len(workers) == 2
        os.kill(parent.pid, number)
    deadline = time.monotonic() + 10
    while any(map(is_there, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_there, workers))


def is_there(process):
    return os.path.exists(f"/proc/{process}")


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_workers_end_where_the_process_that_started_them_is_killed(env):
    env.reset()
    os.kill(env._keeper._process.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="the process of environments 0 to 1 has ended"):  # noqa: PT012
        for _ in range(100):
            env.step(np.zeros(5, int))
            time.sleep(0.1)
    env.close()


def test_what_a_worker_prints_is_seen(capfd):
    WorkerVecEnv([Talkative] * 2, n_workers=2).close()
    assert capfd.readouterr().out.count("closed") == 2  # two processes may write their line ends together


class Talkative(Mixed):
    def close(self):
        print("closed")
