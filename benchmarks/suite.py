"""
Tasks of one kind in several ways: random play, SB3's PPO, its agent cloned, PPMO with one gradient step and with the ridge
head; scores of 100 fresh learners, what they cost, and the sets. What table4.py and atari_ram.py share.
"""

import argparse
import copy
import resource
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from common import DATASETS, one_thread, read, write
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from sb3_distill import PPMO, Expert, SyntheticDataset, clone, evaluate_learners, make_vec_env

RUNS = Path("runs")
KINDS: dict[str, dict[str, Any]] = {"sgd": dict(inner_rate_per_role=True), "ridge": dict(inner_loop="ridge")}
CLONES = {"clone": "sgd", "clone-ridge": "ridge"}
CLONE_STEPS = 500_000
WEIGHTED_CLONE: dict[str, Any] = dict(dataset_init="observations", input_scale_learning_rate=0.01)
"""For observations of which most are of little use."""
N_ENVS, N_ENVS_PPO = 64, 16
USAGE = """
A run that was cut off goes on from its last checkpoint in runs/. `--scale 2` doubles the environment steps of a new run, and
`--again` goes on from the best set there is, `--warm` starts from the clone, `--anew` from nothing; in each case
the better set stays, in runs/ until `--ship` puts it into the package. `--score` scores the sets that are there once more.
"""


class Checkpoint(BaseCallback):
    """
    Saves model and statistics every few minutes, where the file appears whole or not at all; tells how it goes; and keeps the
    dataset as it was when the last episodes were best.
    """

    def __init__(self, path: Path, steps: int, minutes: float = 3.0) -> None:
        super().__init__()
        self.path, self.seconds, self.start = path, 60 * minutes, time.perf_counter()
        self.last, self.every, self.told = self.start, steps / 20, 0.0
        self.best: SyntheticDataset | None = None
        self.best_return = -float("inf")
        self.curve: list[tuple[int, float, float]] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        episodes = self.model.ep_info_buffer
        if episodes and len(episodes) == episodes.maxlen:
            mean = sum(episode["r"] for episode in episodes) / len(episodes)
            if mean > self.best_return:
                self.best_return, self.best = mean, copy.deepcopy(self.model.dataset)
            if self.num_timesteps - self.told > self.every:
                self.told, seconds = self.num_timesteps, time.perf_counter() - self.start
                self.curve.append((self.num_timesteps, round(seconds, 1), round(float(mean), 2)))
                log_std = self.model.dataset.log_std
                std = "" if log_std is None else f", std {float(log_std.detach().exp().mean()):.2f}"
                print(f"{self.path.stem}: {self.num_timesteps:,} steps, {seconds:.0f} s, {mean:.1f}{std}", flush=True)
        if time.perf_counter() - self.last > self.seconds:
            self.last = time.perf_counter()
            part = self.path.with_suffix(".part.zip")
            self.model.save(part)
            part.replace(self.path)


def play(env: VecEnv, act: Callable[[], Any], n_episodes: int) -> list[float]:
    """Returns of the first episodes that end, at least so many, under actions that see nothing."""
    env.reset()
    returns: list[float] = []
    while len(returns) < n_episodes:
        returns += [info["episode"]["r"] for info in env.step(act())[3] if "episode" in info]
    return returns


def random_policy(env_id: str) -> dict[str, Any]:
    """Uniform actions, 100 episodes."""
    env = make_vec_env(env_id, 50, seed=0)
    returns = play(env, lambda: [env.action_space.sample() for _ in range(50)], 100)
    env.close()
    return {"sampled": {"mean": sum(returns) / len(returns)}, "seconds": 0.0, "steps": 0}


def score(dataset: SyntheticDataset, **kwargs: Any) -> dict[str, Any]:
    """Of 100 fresh learners, sampled and greedy, where the dataset says; and the return of each."""
    evaluate = {"n_learners": 100, "n_episodes": 1, "seed": 1000, **kwargs}
    found = {how: evaluate_learners(dataset, deterministic=how == "greedy", **evaluate) for how in ("sampled", "greedy")}
    returns = {how: evaluation.returns.mean(1).round(2).tolist() for how, evaluation in found.items()}
    return {**{how: evaluation.summary() for how, evaluation in found.items()}, "returns": returns}


def best(entry: dict[str, Any]) -> float:
    """The better of sampled and greedy."""
    return max(entry[how]["mean"] for how in ("sampled", "greedy") if how in entry)


@dataclass(frozen=True)
class Suite:
    """
    :param name: of the file of results
    :param env_id: of a task, with {} for its name
    :param steps: environment steps of a first pass, for each task
    :param settings: arguments of ``PPMO``
    :param changes: the same, of single tasks ("Pong") and kinds of them ("Pong/ridge")
    :param clone_changes: arguments of ``clone``, of single tasks
    :param ppo_settings: arguments of SB3's ``PPO``
    :param vec_normalize: arguments of ``VecNormalize``, of single tasks
    :param vec_env_cls: where learning goes on; evaluation is always where ``make_vec_env`` puts the dataset
    :param shipped_kinds: those that are shipped under their own names
    :param others: more ways to a score, by name: of an environment's id
    """

    name: str
    env_id: str
    steps: Mapping[str, float]
    settings: Mapping[str, Any]
    changes: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    clone_changes: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    ppo_settings: Mapping[str, Any] = field(default_factory=dict)
    vec_normalize: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    vec_env_cls: Any = None
    shipped_kinds: Sequence[str] = ("sgd",)
    others: Mapping[str, Callable[[str], dict[str, Any]]] = field(default_factory=lambda: {"random": random_policy})

    @property
    def kinds(self) -> list[str]:
        """All ways to a score."""
        return [*self.others, "ppo", *CLONES, *KINDS]

    def file(self, task: str, kind: str, seed: int, ending: str = "safetensors") -> Path:
        """Where a run leaves what it makes."""
        return RUNS / f"{self.env_id.format(task).rpartition('-v')[0]}-{kind}-{seed}.{ending}"

    def made_before(self, task: str, kind: str, seed: int, ending: str = "safetensors") -> Path:
        """The same, where it must be there."""
        path = self.file(task, kind, seed, ending)
        if not path.exists():
            raise SystemExit(f"{path} is missing: run --tasks {task} --kinds {kind} --seeds {seed} --anew first")
        return path

    def make_env(self, task: str, n_envs: int, seed: int | None = None) -> VecEnv:
        return make_vec_env(self.env_id.format(task), n_envs, seed=seed, vec_env_cls=self.vec_env_cls)

    def settings_of(self, task: str, kind: str) -> dict[str, Any]:
        changes = {**self.changes.get(task, {}), **self.changes.get(f"{task}/{kind}", {})}
        return {**self.settings, **KINDS[kind], **changes}

    def choose(self, task: str, datasets: list[SyntheticDataset]) -> SyntheticDataset:
        """The best of several, by other learners than those that are reported, where learning went on."""
        evaluate: dict[str, Any] = dict(n_learners=30, seed=2000, env=partial(self.make_env, task))
        return max(datasets, key=lambda dataset: best(score(dataset, **evaluate)))

    def distil(
        self, task: str, kind: str, seed: int, steps: int, again: SyntheticDataset | None = None, **changes: Any
    ) -> tuple[list[SyntheticDataset], dict[str, Any]]:
        """Distil, or go on from a checkpoint: the last dataset, and the one whose learners did best meanwhile."""
        settings = {**self.settings_of(task, kind), **changes}
        path = RUNS / f"{self.name}-{task}-{kind}-{seed}-k{settings['n_instances']}.zip"
        gamma = settings.get("gamma", 0.99)
        env = VecNormalize(self.make_env(task, N_ENVS, seed), gamma=gamma, **self.vec_normalize.get(task, {}))
        checkpoint = Checkpoint(path, steps)
        start = time.perf_counter()
        if path.exists():
            model = PPMO.load(path, env)
            model.learn(steps - model.num_timesteps, checkpoint, reset_num_timesteps=False)
        else:
            model = PPMO("MlpPolicy", env, seed=seed, initial_dataset=again, **settings)
            model.learn(steps, checkpoint)
        path.unlink(missing_ok=True)
        env.close()
        kept = [model.dataset] + ([] if checkpoint.best is None else [checkpoint.best])
        seconds = time.perf_counter() - start
        return kept, {"seconds": seconds, "steps": model.num_timesteps, "seed": seed, "curve": checkpoint.curve}

    def ppo(self, task: str, seed: int, steps: int) -> dict[str, Any]:
        """SB3's PPO on normalised environments."""
        env = VecNormalize(self.make_env(task, N_ENVS_PPO, seed), **self.vec_normalize.get(task, {}))
        start = time.perf_counter()
        model = PPO("MlpPolicy", env, seed=seed, device="cpu", **self.ppo_settings)
        model.learn(steps)
        seconds = time.perf_counter() - start
        model.save(self.file(task, "ppo", seed, "zip"))
        env.save(str(self.file(task, "ppo", seed, "pkl")))
        env.training = env.norm_reward = False
        greedy = float(np.mean(evaluate_policy(model, env, 100)[0]))
        sampled = float(np.mean(evaluate_policy(model, env, 100, deterministic=False)[0]))
        env.close()
        return {"seconds": seconds, "steps": steps, "seed": seed, "sampled": {"mean": sampled}, "greedy": {"mean": greedy}}

    def imitate(self, task: str, kind: str, seed: int, steps: int) -> tuple[SyntheticDataset, dict[str, Any]]:
        """Distil the agent of ``ppo``. Its seconds and steps are those of the imitation alone."""
        agent, statistics = (self.made_before(task, "ppo", seed, ending) for ending in ("zip", "pkl"))
        expert = Expert.load(agent, statistics)
        env = self.make_env(task, N_ENVS, seed)
        start = time.perf_counter()
        settings = {**KINDS[CLONES[kind]], **self.clone_changes.get(task, {})}
        settings["n_instances"] = self.settings_of(task, CLONES[kind])["n_instances"]
        model = clone(expert, VecNormalize(env, norm_reward=False), steps, seed=seed, **settings)
        entry = {"seconds": time.perf_counter() - start, "steps": model.num_timesteps, "seed": seed}
        env.close()
        return model.dataset, entry

    def known_set(self, task: str, kind: str, seed: int) -> Path | None:
        """Where the best set there is lies: in runs/, else in the package, maybe as that of the better kind."""
        env_id = self.env_id.format(task)
        better = DATASETS / f"{env_id}.safetensors"
        for path in (self.file(task, kind, seed), DATASETS / f"{env_id}--{kind}.safetensors"):
            if path.exists():
                return path
        return better if better.exists() and SyntheticDataset.load(better).inner_loop.name == kind else None

    def distil_on(self, task: str, kind: str, seed: int, steps: int, mode: str) -> tuple[SyntheticDataset, dict[str, Any]]:
        """Distil from where ``mode`` says; the best set on the way, and what it cost with that from which it goes on."""
        known: Path | None = None
        stages: list[str] = []
        if mode == "again":
            known, stages = self.known_set(task, kind, seed), [kind]
        elif mode == "warm":
            cloned = next(clone for clone, own in CLONES.items() if own == kind)
            known, stages = self.made_before(task, cloned, seed), ["ppo", cloned]
        if known is None:
            datasets, entry = self.distil(task, kind, seed, steps)
            return self.choose(task, datasets), {**entry, "from": None}
        datasets, entry = self.distil(task, kind, seed, steps, SyntheticDataset.load(known))
        for stage in stages:
            _add_stage(entry, read(self.name).get(f"{task}/{stage}/{seed}", {}))
        return self.choose(task, datasets), {**entry, "from": mode}

    def run(self, task: str, kind: str, seed: int, scale: float, mode: str) -> None:
        """Run one cell of the table, unless it is there and ``mode`` is "missing"."""
        name = f"{task}/{kind}/{seed}"
        before = read(self.name).get(name)
        if before is not None and mode == "missing":
            return
        steps = int(scale * self.steps[task])
        if kind in self.others:
            entry = self.others[kind](self.env_id.format(task))
        elif kind == "ppo":
            entry = self.ppo(task, seed, steps)
        else:
            if kind in CLONES:
                dataset, entry = self.imitate(task, kind, seed, int(scale * CLONE_STEPS))
            else:
                dataset, entry = self.distil_on(task, kind, seed, steps, mode)
            path = self.file(task, kind, seed)
            dataset.save(path.with_suffix(".new.safetensors"))
            entry |= {**score(dataset), "k": dataset.n_instances}
            if before is not None and best(entry) < best(before):
                print(f"{name}: {best(entry):.1f} is not better than {best(before):.1f}", flush=True)
                return
            dataset.info.scores = {how: entry[how] for how in ("sampled", "greedy")}
            dataset.save(path)
        entry["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        scores = {how: round(entry[how]["mean"], 1) for how in ("sampled", "greedy") if how in entry}
        print(f"{name}: {entry['seconds']:.0f} s, {entry['steps']:,} steps, {scores}", flush=True)
        write(self.name, {**read(self.name), name: entry})

    def score_again(self, task: str, kind: str, seed: int) -> None:
        """Score the set of a cell, where both are there."""
        name, path = f"{task}/{kind}/{seed}", self.known_set(task, kind, seed)
        entry = read(self.name).get(name)
        if entry is not None and path is not None:
            write(self.name, {**read(self.name), name: {**entry, **score(SyntheticDataset.load(path))}})

    def ship(self) -> None:
        """Put the sets in runs/ into the package: the better kind as that of the task, and some under their own names."""
        results = read(self.name)
        for task in self.steps:
            env_id = self.env_id.format(task)
            scores = {kind: best(results[name]) for kind in KINDS if (name := f"{task}/{kind}/0") in results}
            for kind in scores:
                path = self.file(task, kind, 0)
                if not path.exists():
                    continue
                if scores[kind] == max(scores.values()):
                    shutil.copy(path, DATASETS / f"{env_id}.safetensors")
                if kind in self.shipped_kinds:
                    shutil.copy(path, DATASETS / f"{env_id}--{kind}.safetensors")

    def main(self, description: str | None, show: Callable[[], None]) -> None:
        """The command line."""
        parser = argparse.ArgumentParser(
            description=(description or "") + USAGE, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("--tasks", nargs="*", default=list(self.steps), choices=list(self.steps))
        parser.add_argument("--kinds", nargs="*", default=self.kinds, choices=self.kinds)
        parser.add_argument("--seeds", nargs="*", type=int, default=[0])
        parser.add_argument("--scale", type=float, default=1.0, help="of the environment steps")
        modes = parser.add_mutually_exclusive_group()
        modes.add_argument("--again", action="store_true", help="go on from the best set there is")
        modes.add_argument("--warm", action="store_true", help="go on from the clone of PPO's agent in runs/")
        modes.add_argument("--anew", action="store_true", help="start anew, also where there is a result")
        modes.add_argument("--score", action="store_true", help="only score the sets of the results that are there")
        parser.add_argument("--ship", action="store_true", help="put the sets in runs/ into the package")
        parser.add_argument("--show", action="store_true", help="only show the table")
        options = parser.parse_args()
        mode = next((name for name in ("again", "warm", "anew") if getattr(options, name)), "missing")
        one_thread()
        gym.logger.min_level = gym.logger.ERROR  # v4 is out of date on purpose
        RUNS.mkdir(exist_ok=True)
        if options.ship:
            self.ship()
        if not (options.show or options.ship):
            for task in options.tasks:
                for kind in options.kinds:
                    for seed in options.seeds:
                        if options.score:
                            self.score_again(task, kind, seed)
                        else:
                            self.run(task, kind, seed, options.scale, mode)
        show()


def _add_stage(entry: dict[str, Any], stage: dict[str, Any]) -> None:
    steps, seconds = stage.get("steps", 0), stage.get("seconds", 0)
    shifted = [(n + steps, round(t + seconds, 1), value) for n, t, value in entry.get("curve", [])]
    entry["steps"] += steps
    entry["seconds"] += seconds
    entry["curve"] = stage.get("curve", []) + shifted
