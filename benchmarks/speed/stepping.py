"""
Environment steps per second of MuJoCo tasks: SB3's DummyVecEnv and SubprocVecEnv, WorkerVecEnv (what `make_vec_env` takes),
and EnvPool where it is installed, in turns; and the share of the simulator in the wall time of `PPMO.learn`.

    python benchmarks/speed/stepping.py [--tasks Hopper Ant] [--seconds 5]
"""

import argparse
import importlib.util
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
from rich.console import Console
from rich.table import Table
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecEnvWrapper, VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import one_thread, read, write
from benchmarks.lib.suite import KINDS
from benchmarks.paper.table4 import SETTINGS, TASKS
from sb3_distill import PPMO, make_vec_env
from sb3_distill.environments.envpool_vec_env import EnvPoolVecEnv
from sb3_distill.environments.worker_vec_env import WorkerVecEnv
from sb3_distill.typing import Array, Json

N_ENVS = 64
ROUNDS = 3
DEFAULT = ("HalfCheetah", "Hopper", "Walker2d", "Ant", "Humanoid")
CLASSES: dict[str, type[VecEnv]] = {"DummyVecEnv": DummyVecEnv, "SubprocVecEnv": SubprocVecEnv, "WorkerVecEnv": WorkerVecEnv}
if importlib.util.find_spec("envpool"):
    CLASSES["EnvPoolVecEnv"] = EnvPoolVecEnv


class Timed(VecEnvWrapper):
    """Adds up the wall time of stepping what it is put around."""

    seconds = 0.0

    def reset(self) -> VecEnvObs:
        return self.venv.reset()

    def step_async(self, actions: Array) -> None:
        self.start = time.perf_counter()
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        result = self.venv.step_wait()
        self.seconds += time.perf_counter() - self.start
        return result


def make(task: str, vec_env_cls: type[VecEnv]) -> VecEnv:
    kwargs = {"n_threads": 2} if vec_env_cls is CLASSES.get("EnvPoolVecEnv") else None
    return make_vec_env(f"{task}-v4", N_ENVS, seed=0, vec_env_cls=vec_env_cls, vec_env_kwargs=kwargs)


def speed(env: VecEnv, seconds: float) -> float:
    """Steps per second under random actions."""
    actions = [np.stack([env.action_space.sample() for _ in range(N_ENVS)]) for _ in range(10)]
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        env.step(actions[n % 10])
        n += 1
    return n * N_ENVS / (time.perf_counter() - start)


def simulator_share(task: str, vec_env_cls: type[VecEnv], steps: int) -> tuple[float, float]:
    """Share of the simulator in the wall time of ``learn``, and steps per second."""
    timed = Timed(make(task, vec_env_cls))
    model = PPMO("MlpPolicy", VecNormalize(timed), seed=0, **{**SETTINGS, **KINDS["sgd"]})
    timed.seconds, start = 0.0, time.perf_counter()
    model.learn(steps)
    seconds = time.perf_counter() - start
    timed.close()
    return timed.seconds / seconds, model.num_timesteps / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=list(DEFAULT), choices=list(TASKS))
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    options = parser.parse_args()
    one_thread()
    gym.logger.min_level = gym.logger.ERROR
    results: Json = {name: entry for name, entry in read("stepping").items() if name in TASKS}
    table = Table(title=f"Thousand steps per second, {N_ENVS} environments, median of {ROUNDS} rounds in turns")
    for column in ("", *CLASSES, "learn: class", "steps/s", "simulator"):
        table.add_column(column, justify="right" if column else "left")
    for task in options.tasks:
        envs = {name: make(task, cls) for name, cls in CLASSES.items()}
        for env in envs.values():
            env.reset()
        rounds = [{name: speed(env, options.seconds) for name, env in envs.items()} for _ in range(ROUNDS)]
        for env in envs.values():
            env.close()
        medians = {name: float(np.median([one[name] for one in rounds])) for name in CLASSES}
        fastest = max(medians, key=lambda name: medians[name])
        share, learning = simulator_share(task, CLASSES[fastest], 8 * SETTINGS["n_steps"] * N_ENVS)
        results[task] = {
            "rounds": rounds,
            "median": medians,
            "learn": {"class": fastest, "share": share, "per_second": learning},
        }
        cells = [f"{value / 1000:.1f}" for value in medians.values()]
        table.add_row(task, *cells, fastest, f"{learning / 1000:.1f}", f"{share:.0%}")
        write("stepping", results)
    Console().print(table)


if __name__ == "__main__":
    main()
