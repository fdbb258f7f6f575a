"""What a worker of a ``WorkerVecEnv`` does in its process."""

import multiprocessing as mp
import os
import pickle
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path

import cloudpickle
from stable_baselines3.common.vec_env import DummyVecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from sb3_distill.typing import Array, Info, Kwargs


class Share(DummyVecEnv):
    """The environments of one worker. Infos of steps within an episode stay here, and are not copied."""

    def advance(self, actions: Array) -> tuple[VecEnvObs, Array, Array, list[Info], list[Info] | None]:
        """What a step returns, and the infos of resets if there was a reset."""
        observations, rewards, dones, infos = self.step(actions)
        return observations, rewards, dones, infos, self.reset_infos if dones.any() else None

    def step_wait(self) -> VecEnvStepReturn:
        infos: list[Info] = [{} for _ in self.envs]
        for i, env in enumerate(self.envs):
            observation, self.buf_rews[i], terminated, truncated, info = env.step(self.actions[i])
            self.buf_dones[i] = terminated or truncated
            if self.buf_dones[i]:
                infos[i] = {**info, "terminal_observation": observation}
                infos[i]["TimeLimit.truncated"] = bool(truncated and not terminated)
                observation, self.reset_infos[i] = env.reset()
            self._save_obs(i, observation)
        return self._obs_from_buf(), self.buf_rews, self.buf_dones, infos

    def restart(self, seeds: list[int | None], options: list[Kwargs]) -> tuple[VecEnvObs, list[Info]]:
        """First observations, and the infos of the resets."""
        self._seeds, self._options = seeds, options
        return self.reset(), self.reset_infos


def work(env_fns: bytes, parent: Connection) -> None:
    """
    The program of a worker: obey commands until ``close``.

    :param env_fns: functions that make its environments, as cloudpickle writes them
    :param parent: where commands come from and answers go to
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # those of the parent are the parent's
        signal.signal(number, signal.SIG_DFL)
    call_after_parent(lambda: os._exit(1))
    try:
        share = Share(cloudpickle.loads(env_fns))
    except Exception as error:
        _answer(parent, None, error)
        return
    while True:
        try:
            command, *data = parent.recv()
        except (EOFError, ConnectionError):
            return
        if command == "close":
            share.close()
            return
        try:
            result: object
            if command == "step":
                result = share.advance(data[0])
            elif command == "reset":
                result = share.restart(*data)
            else:
                name, args, kwargs = data
                attribute = getattr(share, name)
                result = attribute(*args, **kwargs) if callable(attribute) else attribute
            _answer(parent, result, None)
        except Exception as error:
            _answer(parent, None, error)


def call_after_parent(end: Callable[[], None]) -> None:
    """
    Call a function, in a thread, soon after the program that started this process has ended, however that was, or the process
    that forked it. The end of a pipe does not tell: any process that was forked later holds it open.
    """
    program, parent = mp.parent_process(), os.getppid()

    def watch() -> None:
        while program is not None and not wait([program.sentinel], timeout=0.5) and os.getppid() == parent:
            pass
        end()

    threading.Thread(target=watch, daemon=True).start()


def is_stopped(pid: int | None) -> bool:
    """Whether a process was stopped and can go on, where the system tells (Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except (OSError, IndexError):
        return False


def _answer(parent: Connection, result: object, error: Exception | None) -> None:
    try:
        if error is not None:
            pickle.loads(pickle.dumps(error))  # some exceptions can be pickled, but not read back
        parent.send((result, error))
    except Exception as pickle_error:
        parent.send((None, RuntimeError(f"{error or pickle_error!r} in a worker")))
