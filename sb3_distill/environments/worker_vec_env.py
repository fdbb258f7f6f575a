"""Several environments in each of a few processes: the fast way to step simulators that cannot be batched."""

import multiprocessing as mp
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeAlias, cast

import cloudpickle
import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from sb3_distill.environments.workers.keeper import Keeper, WorkerProcess
from sb3_distill.environments.workers.program import is_stopped, work
from sb3_distill.errors import ArgumentError
from sb3_distill.trees import concatenate
from sb3_distill.typing import Array, Env, RawObservations

EnvFn: TypeAlias = Callable[[], Env]
PATIENCE = 5.0
"""Seconds without an answer after which a worker is looked at."""


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
        self._context: Any = mp.get_context(start_method or ("fork" if can_fork() else None))
        n, n_shares = len(env_fns), min(len(env_fns), n_workers or n_cores())
        self._shares = [(i * n // n_shares, (i + 1) * n // n_shares) for i in range(n_shares)]
        self._programs = [cloudpickle.dumps(list(env_fns[low:high])) for low, high in self._shares]
        self._workers: list[Connection] = []
        self._processes: list[WorkerProcess] = []
        self._keeper: Keeper | None = None
        self._was_interrupted = False
        self._start()
        try:
            self.render_mode = self._ask(0, "render_mode")
            super().__init__(n, self._ask(0, "observation_space"), self._ask(0, "action_space"))
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        """Start a process for each share."""
        ends = [self._context.Pipe() for _ in self._programs]
        self._workers = [here for here, _ in ends]
        if self._context.get_start_method() == "fork":
            self._keeper = Keeper(self._context, self._programs, [there for _, there in ends])
            self._processes = list(self._keeper.workers)
            return
        self._processes = []
        for program, (_, there) in zip(self._programs, ends, strict=True):
            process = self._context.Process(target=work, args=(program, there), daemon=True)
            process.start()
            there.close()
            self._processes.append(process)

    def on_interruption(self) -> None:
        """A step may have been cut off, by Ctrl-C for instance: the next one starts in new processes, with new episodes."""
        self._was_interrupted = True

    def _restart_if_interrupted(self) -> None:
        # Ctrl-C in a terminal ends all workers; one that is ended alone ends the run.
        ended = [process.exitcode == -signal.SIGINT for process in self._processes]
        if not self._was_interrupted and not (len(ended) > 1 and all(ended)):
            return
        self._stop(patience=0)
        self._start()
        self._was_interrupted = False
        for worker, (low, high) in enumerate(self._shares):
            self._send(worker, "reset", [None] * (high - low), [{}] * (high - low))
        self._receive_all()

    def step_async(self, actions: Array) -> None:
        self._restart_if_interrupted()
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
        self._restart_if_interrupted()
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
        for worker in self._workers if not self._was_interrupted else ():
            try:
                worker.send(("close",))
            except OSError:  # the process has ended already
                continue
        self._stop(patience=0 if self._was_interrupted else 5)

    def _stop(self, patience: float) -> None:
        """End all processes, with force after some seconds."""
        deadline = time.monotonic() + patience
        for worker, process in zip(self._workers, self._processes, strict=True):
            process.join(timeout=max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
            worker.close()
        if self._keeper is not None:
            self._keeper.close()

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
            with self._noting_interruption():
                self._workers[worker].send(message)
        except ConnectionError:
            _, error = self._receive(worker)  # a last message may say why it ended
            raise error or self._ended(worker) from None

    def _receive(self, worker: int) -> tuple[Any, Exception | None]:
        try:
            with self._noting_interruption():
                while not self._workers[worker].poll(PATIENCE):
                    self._check_not_stopped(worker)
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

    @contextmanager
    def _noting_interruption(self) -> Iterator[None]:
        """An exchange that is cut off leaves half a message in a pipe."""
        try:
            yield
        except KeyboardInterrupt:
            self._was_interrupted = True
            raise

    def _check_not_stopped(self, worker: int) -> None:
        """A process that was stopped (SIGSTOP) would be waited for without end."""
        process = self._processes[worker]
        if not is_stopped(process.pid):
            return
        time.sleep(1)
        if is_stopped(process.pid):  # else both just go on after Ctrl-Z
            process.kill()
            low, high = self._shares[worker]
            raise RuntimeError(f"the process of environments {low} to {high - 1} was stopped")

    def _ended(self, worker: int) -> BaseException:
        """
        What has become of a worker.

        :return: an error, or the ``KeyboardInterrupt`` that was sent to it
        """
        low, high = self._shares[worker]
        self._processes[worker].join(timeout=1)
        if self._processes[worker].exitcode == -signal.SIGINT:
            self._was_interrupted = True
            return KeyboardInterrupt(f"the process of environments {low} to {high - 1} was interrupted")
        return RuntimeError(f"the process of environments {low} to {high - 1} has ended")


def _join(parts: Sequence[VecEnvObs]) -> VecEnvObs:
    """Observations of all environments from those of each worker's."""
    if isinstance(parts[0], tuple):
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))
    return concatenate(cast("Sequence[RawObservations]", parts))
