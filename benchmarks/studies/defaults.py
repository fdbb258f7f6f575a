"""
Does PPMO with its defaults keep up with SB3's PPO with its defaults, at as many environment steps? Both learn in SB3's own
``DummyVecEnv``, in 1 and in 8 environments. PPO is scored by its policy, PPMO by 20 fresh learners, with sampled and with
greedy actions. A score is (return - random) / (reference - random); the share is that of PPO's score.

    python benchmarks/studies/defaults.py [--tasks CartPole] [--variants ppo installed] [--n-envs 1 8] [--seeds 0 1 2]
    python benchmarks/studies/defaults.py --show

What is in results/defaults.json is not run again. LunarLander needs Box2D, HalfCheetah needs MuJoCo: without these they are
left out.
"""

import argparse
import itertools
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import torch as th
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import one_thread, read, write
from benchmarks.lib.score import WAYS, mean_return, score
from benchmarks.lib.tasks_of_defaults import TASKS, TUNED, Task
from sb3_distill import PPMO, min_instances
from sb3_distill.ppmo.signs import wanted_rollout
from sb3_distill.typing import Json

N_LEARNERS, N_EPISODES = 20, 5
"""Fresh learners of a score, and episodes of each; PPO's policy plays as many in all."""


def now(env: VecEnv) -> Json:
    """Defaults of 0.1.0 before ``normalize``, written out."""
    k = min_instances(env.action_space) if isinstance(env.action_space, spaces.Discrete) else 64
    return dict(normalize=False, n_instances=k, ent_coef=0.0, n_steps=128)


def named(env: VecEnv) -> Json:
    """What the warning at the end of a run that has not learned names: a closed-form loop, and longer rollouts."""
    if not isinstance(env.action_space, spaces.Discrete):
        return dict(inner_loop="ridge", policy_kwargs={"activation_fn": th.nn.ReLU})
    n_steps = -(-wanted_rollout(env.observation_space) // env.num_envs)
    return dict(inner_loop="carry", n_steps=n_steps, n_epochs=10, batch_size=256, learning_rate="lin_0.005")


VARIANTS: dict[str, Callable[[VecEnv], Json]] = {"now": now, "named": named, "installed": lambda env: {}}
"""Arguments of ``PPMO``, by name; ``named`` and ``installed`` leave the rest to the defaults of the code that is run."""
KINDS = ["ppo", *VARIANTS]


def policy_of(env: VecEnv) -> str:
    """Alias of the policy for these observations."""
    if isinstance(env.observation_space, spaces.Dict):
        return "MultiInputPolicy"
    return "CnnPolicy" if len(env.observation_space.shape or ()) == 3 else "MlpPolicy"


def ppo(task: Task, n_envs: int, seed: int) -> Json:
    """Scores of SB3's PPO with its defaults."""
    env = task.make(n_envs, seed)
    model, start = PPO(policy_of(env), env, seed=seed, device="cpu"), time.perf_counter()
    model.learn(task.steps)
    seconds, env = time.perf_counter() - start, task.make(N_LEARNERS, 1000)
    n_episodes = N_LEARNERS * N_EPISODES
    means = {way: {"mean": mean_return(model, env, n_episodes, deterministic=way == "greedy")} for way in WAYS}
    return {**means, "seconds": seconds, "steps": model.num_timesteps}


def ppmo(task: Task, n_envs: int, seed: int, variant: str) -> Json:
    """Scores of fresh learners that PPMO's dataset has taught."""
    env = task.make(n_envs, seed)
    arguments = VARIANTS[variant](env)
    model, start = PPMO(policy_of(env), env, seed=seed, device="cpu", **arguments), time.perf_counter()
    model.learn(task.steps)
    seconds = time.perf_counter() - start
    entry = score(model.dataset, n_learners=N_LEARNERS, n_episodes=N_EPISODES, env=task.make, max_envs=N_LEARNERS)
    chosen = {
        "arguments": {name: str(value) if name == "policy_kwargs" else value for name, value in arguments.items()},
        "normalize": model.normalize,
        "k": model.n_instances,
        "signs": model.signs.found(list(model.ep_info_buffer or [])),
    }
    return {**entry, **chosen, "seconds": seconds, "steps": model.num_timesteps}


def run(name: str, n_envs: int, kind: str, seed: int) -> None:
    """Run one cell, unless it is there (with the signs of the warning, if it is one of PPMO's defaults)."""
    cell, task = f"{name}/{n_envs}/{kind}/{seed}", TASKS[name]
    there = read("defaults").get(cell)
    if there is not None and (kind != "installed" or "signs" in there):
        return
    entry = ppo(task, n_envs, seed) if kind == "ppo" else ppmo(task, n_envs, seed, kind)
    entry["normalised"] = {way: round(task.normalized(entry[way]["mean"]), 3) for way in WAYS}
    print(f"{cell}: {entry['normalised']}, {entry['seconds']:.0f} s, {entry['steps']:,} steps", flush=True)
    write("defaults", {**read("defaults"), cell: entry})


def show() -> None:
    """Medians over seeds, the lowest seed, and shares of PPO's median in its better number of environments."""
    results = {tuple(cell.split("/")): entry for cell, entry in read("defaults").items() if "/" in cell}
    print(
        "| task | environments | algorithm | seeds | sampled | greedy | lowest sampled | share of PPO, sampled | greedy |\n"
        + "|---" * 9
        + "|"
    )
    for name, n_envs, kind in itertools.product(TASKS, ("1", "8"), KINDS):
        medians = [_median(results, name, n_envs, kind, way) for way in WAYS]
        if None in medians:
            continue
        theirs = [_best_median(results, name, way) for way in WAYS]
        shares = [
            "" if not their or their < 0.05 else f"{our / their:.2f}"
            for our, their in zip(medians, theirs, strict=True)
            if our is not None
        ]
        sampled = [entry["normalised"]["sampled"] for key, entry in results.items() if key[:3] == (name, n_envs, kind)]
        numbers = [f"{median:.2f}" for median in medians if median is not None] + [f"{min(sampled):.2f}"]
        print("|", " | ".join([name, n_envs, kind, str(len(sampled)), *numbers, *shares]), "|")


def show_warnings() -> None:
    """
    How often the warning at the end of a run was right. A run has failed if it has less than half of PPO's median in its
    better number of environments, or less than half of the reference where PPO has learned nothing.
    """
    results = {tuple(cell.split("/")): entry for cell, entry in read("defaults").items() if "/" in cell}
    counts: Counter[tuple[bool, bool]] = Counter()
    for (name, n_envs, kind, seed), entry in results.items():
        if kind != "installed" or "signs" not in entry:
            continue
        theirs = _best_median(results, name, "sampled") or 0.0
        has_failed = entry["normalised"]["sampled"] < 0.5 * (theirs if theirs > 0.05 else 1.0)
        counts[has_failed, bool(entry["signs"])] += 1
        if has_failed != bool(entry["signs"]):
            what = "missed" if has_failed else "false alarm"
            print(f"{what}: {name}/{n_envs}/{seed}, {entry['normalised']['sampled']}, {'; '.join(entry['signs'])}")
    n_good, n_failed = counts[False, False] + counts[False, True], counts[True, False] + counts[True, True]
    print(f"false alarms: {counts[False, True]} of {n_good} runs; misses: {counts[True, False]} of {n_failed} failed runs")


def _best_median(results: Mapping[tuple[str, ...], Json], name: str, way: str) -> float | None:
    """PPO's median in 1 or in 8 environments, whichever is better."""
    return max((m for n in ("1", "8") if (m := _median(results, name, n, "ppo", way)) is not None), default=None)


def _median(results: Mapping[tuple[str, ...], Json], name: str, n_envs: str, kind: str, way: str) -> float | None:
    values = [entry["normalised"][way] for key, entry in results.items() if key[:3] == (name, n_envs, kind)]
    return statistics.median(values) if values else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=list(TUNED), choices=list(TASKS))
    parser.add_argument("--variants", nargs="*", default=["ppo", "now", "installed"], choices=KINDS)
    parser.add_argument("--n-envs", nargs="*", type=int, default=[1, 8])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--show", action="store_true", help="only show the table")
    options = parser.parse_args()
    one_thread()
    warnings.filterwarnings("ignore", message="n_instances=.* is below")
    tasks = [] if options.show else [name for name in options.tasks if TASKS[name].is_there()]
    for seed, name, n_envs, kind in itertools.product(options.seeds, tasks, options.n_envs, options.variants):
        run(name, n_envs, kind, seed)
    show()
    show_warnings()


if __name__ == "__main__":
    main()
