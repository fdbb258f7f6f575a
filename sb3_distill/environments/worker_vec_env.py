"""Several environments in each of a few processes: the fast way to step simulators that cannot be batched."""

import multiprocessing as mp
import os
import pickle
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeAlias, cast

import cloudpickle
import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from sb3_distill.errors import ArgumentError
from sb3_distill.trees import concatenate
from sb3_distill.typing import Array, Env, Info, Kwargs, RawObservations

EnvFn: TypeAlias = Callable[[], Env]


def can_fork() -> bool:
    """Whether processes start without importing the main script again, for which not every script is written."""
    return "fork" in mp.get_all_start_methods()


def n_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerVecEnv(VecEnv):
    """
    Environments shared out among a few processes, each of which steps its share in a loop.

    SB3's ``SubprocVecEnv`` has a process for each environment, so that on a few cores much of its time goes into switching
    between them. Results equal those of a ``DummyVecEnv``, except that ``infos`` are empty unless an episode ends.

    :param env_fns: functions that make the environments
    :param n_workers: number of processes; ``None`` for the number of cores
    :param start_method: start method of ``multiprocessing``; ``None`` for ``fork`` where it exists
    :raises ValueError: if there is no environment, or ``n_workers`` is below 1
    """

    def __init__(self, env_fns: Sequence[EnvFn], n_workers: int | None = None, start_method: str | None = None) -> None:
        if not env_fns or (n_workers is not None and n_workers < 1):
            raise ArgumentError(f"there must be an environment and a worker, got {len(env_fns)} and {n_workers}")
        self._closed = False
        context: Any = mp.get_context(start_method or ("fork" if can_fork() else None))
        n, n_shares = len(env_fns), min(len(env_fns), n_workers or n_cores())
        self._shares = [(i * n // n_shares, (i + 1) * n // n_shares) for i in range(n_shares)]
        self._workers: list[Connection] = []
        self._processes: list[BaseProcess] = []
        for low, high in self._shares:
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(cloudpickle.dumps(list(env_fns[low:high])), there), daemon=True)
            process.start()
            there.close()
            self._workers.append(here)
            self._processes.append(process)
        try:
            self.render_mode = self._ask(0, "render_mode")
            super().__init__(n, self._ask(0, "observation_space"), self._ask(0, "action_space"))
        except BaseException:
            self.close()
            raise

    def step_async(self, actions: Array) -> None:
        for worker, (low, high) in enumerate(self._shares):
            self._send(worker, "step", actions[low:high])

    def step_wait(self) -> VecEnvStepReturn:
        *results, reset_infos = zip(*self._receive_all(), strict=True)
        observations, rewards, dones, infos = results
        for (low, high), part in zip(self._shares, reset_infos, strict=True):
            if part is not None:
                self.reset_infos[low:high] = part
        return _join(observations), np.concatenate(rewards), np.concatenate(dones), [info for part in infos for info in part]

    def reset(self) -> VecEnvObs:
        for worker, (low, high) in enumerate(self._shares):
            self._send(worker, "reset", self._seeds[low:high], self._options[low:high])
        observations, infos = zip(*self._receive_all(), strict=True)
        self.reset_infos = [info for part in infos for info in part]
        self._reset_seeds()
        self._reset_options()
        return _join(observations)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for worker in self._workers:
            try:
                worker.send(("close",))
            except OSError:  # the process has ended already
                continue
        for worker, process in zip(self._workers, self._processes, strict=True):
            process.join(timeout=5)
            if process.is_alive():
                process.terminate()
            worker.close()

    def get_images(self) -> Sequence[Array | None]:
        return [image for i in range(len(self._workers)) for image in self._ask(i, "get_images")]

    def has_attr(self, attr_name: str) -> bool:
        return all(self._ask(i, "has_attr", attr_name) for i in range(len(self._workers)))

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[object]:
        return self._each("get_attr", indices, attr_name)

    def set_attr(self, attr_name: str, value: object, indices: VecEnvIndices = None) -> None:
        self._each("set_attr", indices, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: object, indices: VecEnvIndices = None, **method_kwargs: object
    ) -> list[object]:
        return self._each("env_method", indices, method_name, *method_args, **method_kwargs)

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        return [bool(answer) for answer in self._each("env_is_wrapped", indices, wrapper_class)]

    def _each(self, method: str, indices: VecEnvIndices, *args: object, **kwargs: object) -> list[object]:
        """Answers of single environments, each from a method of the ``DummyVecEnv`` that holds it."""
        results = []
        for index in (range(self.num_envs)[i] for i in self._get_indices(indices)):  # -1 is the last
            worker, low = next((i, low) for i, (low, high) in enumerate(self._shares) if index < high)
            result = self._ask(worker, method, *args, indices=[index - low], **kwargs)
            results.append(result[0] if result is not None else None)
        return results

    def _ask(self, worker: int, name: str, *args: object, **kwargs: object) -> Any:
        """Value of an attribute, or result of a method, of the ``DummyVecEnv`` of a worker."""
        self._send(worker, "ask", name, args, kwargs)
        result, error = self._receive(worker)
        if error is not None:
            raise error
        return result

    def _send(self, worker: int, *message: object) -> None:
        try:
            self._workers[worker].send(message)
        except ConnectionError:
            _, error = self._receive(worker)  # a last message may say why it ended
            raise error or self._ended(worker) from None

    def _receive(self, worker: int) -> tuple[Any, Exception | None]:
        try:
            result, error = self._workers[worker].recv()
        except (EOFError, ConnectionError):
            raise self._ended(worker) from None
        return result, error

    def _receive_all(self) -> list[Any]:
        """One answer of each worker. An error is raised only after all have answered: no answer may be left in a pipe."""
        answers = [self._receive(worker) for worker in range(len(self._workers))]
        for _, error in answers:
            if error is not None:
                raise error
        return [result for result, _ in answers]

    def _ended(self, worker: int) -> RuntimeError:
        low, high = self._shares[worker]
        return RuntimeError(f"the process of environments {low} to {high - 1} has ended")


class _Share(DummyVecEnv):
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


def _work(env_fns: bytes, parent: Connection) -> None:
    """
    The program of a worker: obey commands until ``close``.

    :param env_fns: functions that make its environments, as cloudpickle writes them
    :param parent: where commands come from and answers go to
    """
    try:
        share = _Share(cloudpickle.loads(env_fns))
    except Exception as error:
        _answer(parent, None, error)
        return
    while True:
        try:
            command, *data = parent.recv()
        except (EOFError, KeyboardInterrupt):
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


def _answer(parent: Connection, result: object, error: Exception | None) -> None:
    try:
        if error is not None:
            pickle.loads(pickle.dumps(error))  # some exceptions can be pickled, but not read back
        parent.send((result, error))
    except Exception as pickle_error:
        parent.send((None, RuntimeError(f"{error or pickle_error!r} in a worker")))


def _join(parts: Sequence[VecEnvObs]) -> VecEnvObs:
    """Observations of all environments from those of each worker's."""
    if isinstance(parts[0], tuple):
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))
    return concatenate(cast("Sequence[RawObservations]", parts))
