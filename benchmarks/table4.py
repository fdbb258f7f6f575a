"""
Table 4 of Wilhelm & Ventura (2025): the eight MuJoCo tasks with k = 64 instances and SB3's network and initialisation, for a
random policy, SB3's PPO, its agent cloned, PPMO with one gradient step and PPMO with the ridge head: mean return of 100 fresh
learners.

    python benchmarks/table4.py --tasks HalfCheetah Hopper --kinds sgd ridge      # what is missing is run
    python benchmarks/table4.py --show                                           # the table of what is there

A run that was cut off goes on from its last checkpoint in runs/. `--scale 2` doubles the environment steps of a new run, and
`--again` goes on from the best set there is, `--warm` starts from the clone, `--anew` from nothing; in each case
the better set stays.
"""

import argparse
import copy
import importlib.util
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from common import DATASETS, PICTURES, one_thread, read, write
from rich.console import Console
from rich.table import Table
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from sb3_distill import PPMO, Expert, SyntheticDataset, clone, evaluate_learners, make_vec_env
from sb3_distill.envpool_vec_env import EnvPoolVecEnv

RUNS = Path("runs")
# Paper: random policy, RL, distilled. Environment steps of a first pass.
TASKS: dict[str, tuple[float, float, float, float]] = {
    "HalfCheetah": (-282, 1908, 2226, 3e6),
    "Hopper": (21, 1441, 2168, 3e6),
    "Walker2d": (2.1, 3537, 332, 3e6),
    "Ant": (-52, 3980, 3115, 2e6),
    "Humanoid": (123, 631, 544, 1e6),
    "HumanoidStandup": (34_034, 104_950, 138_478, 6e5),
    "InvertedDoublePendulum": (57, 7553, 1235, 1e6),
    "Reacher": (-42.95, -5.63, -7.78, 2e6),
}
# Small updates after short rollouts, and an exploration that starts small and shrinks slowly: with larger ones it is gone
# before the task is solved.
SETTINGS: dict[str, Any] = dict(
    n_instances=64,
    n_learners=8,
    n_steps=64,
    n_epochs=8,
    batch_size=512,
    learning_rate="lin_0.002",
    labels_learning_rate="lin_0.002",
    rates_learning_rate="lin_0.001",
    log_std_learning_rate=0.0001,
    critic_learning_rate="lin_0.001",
    weight_decay=0.0,
    policy_kwargs=dict(log_std_init=-1.0),
)
KINDS: dict[str, dict[str, Any]] = {"sgd": dict(inner_rate_per_role=True), "ridge": dict(inner_loop="ridge")}
CLONES = {"clone": "sgd", "clone-ridge": "ridge"}
# Actions of these two lie in [-0.4, 0.4]; and where there are 376 observations, random points are far from all states, and
# most numbers are of little use.
HUMANOID: dict[str, Any] = dict(
    dataset_init="observations",
    policy_kwargs=dict(log_std_init=-1.5),
    learning_rate="lin_0.001",
    labels_learning_rate="lin_0.001",
    input_scale_learning_rate="lin_0.001",
)
CHANGES: dict[str, dict[str, Any]] = {"Humanoid": HUMANOID, "HumanoidStandup": HUMANOID}
HUMANOID_CLONE: dict[str, Any] = dict(dataset_init="observations", input_scale_learning_rate=0.01)
CLONE_CHANGES: dict[str, dict[str, Any]] = {"Humanoid": HUMANOID_CLONE, "HumanoidStandup": HUMANOID_CLONE}
ALL = ("random", "ppo", *CLONES, *KINDS)
CLONE_STEPS = 500_000
N_ENVS = 64
# Learning goes on in EnvPool where it is installed, evaluation always in Gymnasium with the installed MuJoCo.
VEC_ENV = EnvPoolVecEnv if importlib.util.find_spec("envpool") else None


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


def normalized(task: str, seed: int, gamma: float) -> VecNormalize:
    return VecNormalize(make_vec_env(f"{task}-v4", N_ENVS, seed=seed, vec_env_cls=VEC_ENV), gamma=gamma)


def score(dataset: SyntheticDataset, **kwargs: Any) -> dict[str, Any]:
    evaluate = {"n_learners": 100, "n_episodes": 1, "seed": 1000, **kwargs}
    return {
        name: evaluate_learners(dataset, deterministic=name == "greedy", **evaluate).summary()
        for name in ("sampled", "greedy")
    }


def choose(datasets: list[SyntheticDataset], vec_env_cls: Any = VEC_ENV) -> SyntheticDataset:
    """The best of several, by other learners than those that are reported, where learning went on."""

    def make(n_envs: int) -> VecEnv:
        assert datasets[0].info.env_id is not None
        return make_vec_env(datasets[0].info.env_id, n_envs, vec_env_cls=vec_env_cls)

    return max(datasets, key=lambda dataset: best(score(dataset, n_learners=30, seed=2000, env=make)))


def distil(
    task: str, kind: str, seed: int, steps: int, again: SyntheticDataset | None = None, **changes: Any
) -> tuple[list[SyntheticDataset], dict[str, Any]]:
    """Distil, or go on from a checkpoint: the last dataset, and the one whose learners did best meanwhile."""
    settings: dict[str, Any] = {**SETTINGS, **KINDS[kind], **CHANGES.get(task, {}), **changes}
    path = RUNS / f"table4-{task}-{kind}-{seed}-k{settings['n_instances']}.zip"
    env = normalized(task, seed, settings.get("gamma", 0.99))
    return learn(path, env, seed, steps, again, settings)


def learn(
    path: Path, env: VecEnv, seed: int, steps: int, again: SyntheticDataset | None, settings: dict[str, Any]
) -> tuple[list[SyntheticDataset], dict[str, Any]]:
    """Learn in an environment, which is closed then, with a checkpoint at ``path``: as ``distil``."""
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


def ppo(task: str, seed: int, steps: int) -> dict[str, Any]:
    """SB3's PPO with its defaults on 16 normalised environments."""
    env = VecNormalize(make_vec_env(f"{task}-v4", 16, seed=seed, vec_env_cls=VEC_ENV))
    start = time.perf_counter()
    model = PPO("MlpPolicy", env, n_steps=512, batch_size=256, seed=seed, device="cpu")
    model.learn(steps)
    seconds = time.perf_counter() - start
    model.save(RUNS / f"{task}-ppo-{seed}.zip")
    env.save(str(RUNS / f"{task}-ppo-{seed}.pkl"))
    env.training = env.norm_reward = False
    greedy = float(np.mean(evaluate_policy(model, env, 100)[0]))
    sampled = float(np.mean(evaluate_policy(model, env, 100, deterministic=False)[0]))
    env.close()
    return {"seconds": seconds, "steps": steps, "seed": seed, "sampled": {"mean": sampled}, "greedy": {"mean": greedy}}


def imitate(task: str, kind: str, seed: int, steps: int) -> tuple[SyntheticDataset, dict[str, Any]]:
    """Distil the agent of ``ppo``. Its seconds and steps are those of the imitation alone."""
    agent = RUNS / f"{task}-ppo-{seed}"
    expert = Expert.load(agent.with_suffix(".zip"), agent.with_suffix(".pkl"))
    env = make_vec_env(f"{task}-v4", N_ENVS, seed=seed, vec_env_cls=VEC_ENV)
    start = time.perf_counter()
    settings = {**KINDS[CLONES[kind]], **CLONE_CHANGES.get(task, {}), "n_instances": SETTINGS["n_instances"]}
    model = clone(expert, env, steps, seed=seed, **settings)
    entry = {"seconds": time.perf_counter() - start, "steps": model.num_timesteps, "seed": seed}
    env.close()
    return model.dataset, entry


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


def known_sets(task: str, kind: str, path: Path) -> Iterator[Path]:
    """Where the best set there is may be: in runs/, else in the package, maybe as that of the better kind."""
    yield path
    yield DATASETS / f"{task}-v4--{kind}.safetensors"
    better = DATASETS / f"{task}-v4.safetensors"
    if better.exists() and SyntheticDataset.load(better).inner_loop.name == kind:
        yield better


def run(task: str, kind: str, seed: int, scale: float, mode: str) -> None:
    name = f"{task}/{kind}/{seed}"
    before = read("table4").get(name)
    if before is not None and mode == "missing":
        return
    steps = int(scale * TASKS[task][3])
    if kind == "random":
        entry = random_policy(f"{task}-v4")
    elif kind == "ppo":
        entry = ppo(task, seed, steps)
    elif kind in CLONES:
        dataset, entry = imitate(task, kind, seed, int(scale * CLONE_STEPS))
        entry |= score(dataset)
        dataset.info.scores = {name: entry[name] for name in ("sampled", "greedy")}
        dataset.save(RUNS / f"{task}-{kind}-{seed}.safetensors")
    else:
        path = RUNS / f"{task}-{kind}-{seed}.safetensors"
        known = next((file for file in known_sets(task, kind, path) if file.exists()), None)
        cloned = next(name for name, own in CLONES.items() if own == kind)
        if mode == "warm":
            known = RUNS / f"{task}-{cloned}-{seed}.safetensors"
        start = SyntheticDataset.load(known) if mode in ("again", "warm") and known else None
        datasets, entry = distil(task, kind, seed, steps, start)
        dataset = choose(datasets)
        dataset.save(path.with_suffix(".new.safetensors"))
        entry |= score(dataset)
        # What it goes on from was not free.
        stages = [read("table4").get(f"{task}/{stage}/{seed}", {}) for stage in ("ppo", cloned)]
        for stage in {"again": [before or {}], "warm": stages}.get(mode, []):
            steps, seconds = stage.get("steps", 0), stage.get("seconds", 0)
            entry["steps"] += steps
            entry["seconds"] += seconds
            shifted = [(n + steps, round(t + seconds, 1), value) for n, t, value in entry["curve"]]
            entry["curve"] = stage.get("curve", []) + shifted
        if before is not None and best(entry) < best(before):
            print(f"{name}: {best(entry):.1f} is not better than {best(before):.1f}", flush=True)
            return
        entry["from"] = mode if start is not None else None
        dataset.info.scores = {kind: entry[kind] for kind in ("sampled", "greedy")}
        dataset.save(path)
    entry["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    scores = {kind: round(entry[kind]["mean"], 1) for kind in ("sampled", "greedy") if kind in entry}
    print(f"{name}: {entry['seconds']:.0f} s, {entry['steps']:,} steps, {scores}", flush=True)
    write("table4", {**read("table4"), name: entry})


def best(entry: dict[str, Any]) -> float:
    return max(entry[kind]["mean"] for kind in ("sampled", "greedy") if kind in entry)


def ship() -> None:
    """Put the sets in runs/ into the package: one gradient step under its name, and the better kind under that of the task."""
    results = read("table4")
    for task in TASKS:
        found = {kind: RUNS / f"{task}-{kind}-0.safetensors" for kind in KINDS if f"{task}/{kind}/0" in results}
        found = {kind: path for kind, path in found.items() if path.exists()}
        if found:
            better = max(found, key=lambda kind: best(results[f"{task}/{kind}/0"]))
            shutil.copy(found[better], DATASETS / f"{task}-v4.safetensors")
        if "sgd" in found:
            shutil.copy(found["sgd"], DATASETS / f"{task}-v4--sgd.safetensors")


def show() -> None:
    table = Table(title="MuJoCo v4, mean return of 100 fresh learners (greedy or sampled, whichever is better)")
    for column in ("", "paper: random", "RL", "distilled", *ALL):
        table.add_column(column, justify="right" if column else "left")
    results = read("table4")
    for task, (*paper, _) in TASKS.items():
        cells = []
        for kind in ALL:
            entries = [entry for name, entry in results.items() if name.startswith(f"{task}/{kind}/")]
            cells.append(" / ".join(f"{best(entry):,.1f}" for entry in entries) or "not run")
        table.add_row(task, *(f"{value:,.1f}" for value in paper), *cells)
    Console(width=140).print(table)
    draw_curves(results)


def draw_curves(results: dict[str, Any]) -> None:
    """Returns of the learners while the dataset was learned."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(14, 6))
    for axis, (task, (_, rl, distilled, _)) in zip(axes.flat, TASKS.items(), strict=True):
        for kind, color in (("sgd", "C0"), ("ridge", "C1")):
            for name, entry in results.items():
                if name.startswith(f"{task}/{kind}/") and entry.get("curve"):
                    steps, _, returns = zip(*entry["curve"], strict=True)
                    axis.plot([n / 1e6 for n in steps], returns, color, label=kind)
        for value, style, label in ((rl, "k:", "paper, RL"), (distilled, "k--", "paper, distilled")):
            axis.plot([], [], style, label=label)
            axis.axhline(value, color="k", linestyle=style[1:], linewidth=0.8)
        axis.set(title=f"{task}-v4", xlabel="million steps", ylabel="return, sampled")
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(PICTURES / "table4_curves.png", dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--kinds", nargs="*", default=list(ALL), choices=ALL)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the environment steps")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--again", action="store_true", help="go on from the best set there is")
    modes.add_argument("--warm", action="store_true", help="go on from the clone of PPO's agent in runs/")
    modes.add_argument("--anew", action="store_true", help="start anew, also where there is a result")
    parser.add_argument("--ship", action="store_true", help="put the sets in runs/ into the package")
    parser.add_argument("--show", action="store_true", help="only show the table")
    options = parser.parse_args()
    mode = next((name for name in ("again", "warm", "anew") if getattr(options, name)), "missing")
    one_thread()
    gym.logger.min_level = gym.logger.ERROR  # v4 is out of date on purpose
    RUNS.mkdir(exist_ok=True)
    if options.ship:
        ship()
    if not (options.show or options.ship):
        for task in options.tasks:
            for kind in options.kinds:
                for seed in options.seeds:
                    run(task, kind, seed, options.scale, mode)
    show()


if __name__ == "__main__":
    main()
