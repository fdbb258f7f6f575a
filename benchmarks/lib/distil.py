"""Ways to a dataset of a suite's task, and what each costs: SB3's PPO, its imitation, and distillation."""

import shutil
import time
from functools import partial
from typing import Literal, TypeAlias

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.vec_env import VecNormalize

from benchmarks.lib.progress import Progress
from benchmarks.lib.results import RUNS, read
from benchmarks.lib.score import best_of, mean_return
from benchmarks.lib.suite import CLONES, KINDS, Suite
from sb3_distill import PPMO, Expert, SyntheticDataset, clone
from sb3_distill.rollback.checkpoints import Checkpoints, resume
from sb3_distill.typing import Json

CLONE_STEPS = 500_000
N_ENVS, N_ENVS_PPO = 64, 16
Mode: TypeAlias = Literal["missing", "again", "warm", "anew"]
"""Run what is missing, go on from the best set, start from the clone of PPO's agent, or start anew."""


def ppo(suite: Suite, task: str, seed: int, steps: int) -> Json:
    """SB3's PPO on normalised environments: its score and cost. The agent is left in runs/."""
    env = suite.learning_env(task, N_ENVS_PPO, seed)
    start = time.perf_counter()
    model = PPO("MlpPolicy", env, seed=seed, device="cpu", **suite.ppo_settings)
    model.learn(steps)
    seconds = time.perf_counter() - start
    model.save(suite.file(task, "ppo", seed, "zip"))
    env.save(str(suite.file(task, "ppo", seed, "pkl")))
    env.training = env.norm_reward = False
    greedy = mean_return(model, env, 100)
    sampled = mean_return(model, env, 100, deterministic=False)
    env.close()
    return {"seconds": seconds, "steps": steps, "seed": seed, "sampled": {"mean": sampled}, "greedy": {"mean": greedy}}


def imitate(suite: Suite, task: str, kind: str, seed: int, steps: int) -> tuple[SyntheticDataset, Json]:
    """Distil the agent of ``ppo``. Seconds and steps are those of the imitation alone."""
    agent, statistics = (suite.existing_file(task, "ppo", seed, ending) for ending in ("zip", "pkl"))
    expert = Expert.load(agent, statistics)
    env = suite.make_env(task, N_ENVS, seed)
    start = time.perf_counter()
    settings = {**KINDS[CLONES[kind]], **suite.clone_changes.get(task, {})}
    settings["n_instances"] = suite.settings_of(task, CLONES[kind])["n_instances"]
    model = clone(expert, VecNormalize(env, norm_reward=False), steps, seed=seed, **settings)
    entry = {"seconds": time.perf_counter() - start, "steps": model.num_timesteps, "seed": seed}
    env.close()
    return model.dataset, entry


def distil(
    suite: Suite,
    task: str,
    kind: str,
    seed: int,
    steps: int,
    initial_dataset: SyntheticDataset | None = None,
    **changes: object,
) -> tuple[list[SyntheticDataset], Json]:
    """
    Distil, or go on from the last checkpoint of a run that was cut off.

    :param suite: the suite of the task
    :param task: name of the task
    :param kind: inner loop
    :param seed: seed of environments, learners and dataset
    :param steps: environment steps of the whole run
    :param initial_dataset: set to start from; ``None`` for a new one
    :param changes: arguments of ``PPMO`` instead of the suite's
    :return: the last dataset, and the one whose learners did best on the way; and what they cost
    """
    settings = {**suite.settings_of(task, kind), **changes}
    name = f"{suite.name}-{task}-{kind}-{seed}-k{settings['n_instances']}"
    env = suite.learning_env(task, N_ENVS, seed, gamma=settings.get("gamma", 0.99))
    progress, start = Progress(name, steps), time.perf_counter()
    model = resume(PPMO, RUNS / name, env)
    if model is None:
        model = PPMO("MlpPolicy", env, seed=seed, initial_dataset=initial_dataset, **settings)
    if (left := steps - model.num_timesteps) > 0:
        model.learn(left, CallbackList([progress, Checkpoints(RUNS / name)]), reset_num_timesteps=False)
    seconds = time.perf_counter() - start
    shutil.rmtree(RUNS / name, ignore_errors=True)
    env.close()
    datasets = [model.dataset] + ([] if progress.best is None else [progress.best])
    return datasets, {"seconds": seconds, "steps": model.num_timesteps, "seed": seed, "curve": progress.curve}


def choose(suite: Suite, task: str, datasets: list[SyntheticDataset]) -> SyntheticDataset:
    """The best of several sets of a task."""
    return best_of(datasets, partial(suite.make_env, task))


def distil_from(suite: Suite, task: str, kind: str, seed: int, steps: int, mode: Mode) -> tuple[SyntheticDataset, Json]:
    """
    Distil from where ``mode`` says.

    :return: the best set on the way, and what it cost, with the cost of the stages before
    """
    path, stages = None, []
    if mode == "again":
        path, stages = suite.best_set(task, kind, seed), [kind]
    elif mode == "warm":
        cloned = next(name for name, inner_loop in CLONES.items() if inner_loop == kind)
        path, stages = suite.existing_file(task, cloned, seed), ["ppo", cloned]
    if path is None:
        datasets, entry = distil(suite, task, kind, seed, steps)
        return choose(suite, task, datasets), {**entry, "from": None}
    datasets, entry = distil(suite, task, kind, seed, steps, SyntheticDataset.load(path))
    for stage in stages:
        _add_stage(entry, read(suite.name).get(f"{task}/{stage}/{seed}", {}))
    return choose(suite, task, datasets), {**entry, "from": mode}


def _add_stage(entry: Json, stage: Json) -> None:
    """Add steps and seconds of an earlier stage, and put its curve in front."""
    steps, seconds = stage.get("steps", 0), stage.get("seconds", 0)
    shifted = [(n + steps, round(t + seconds, 1), value) for n, t, value in entry.get("curve", [])]
    entry["steps"] += steps
    entry["seconds"] += seconds
    entry["curve"] = stage.get("curve", []) + shifted
