"""
Table 4 of Wilhelm & Ventura (2025): the eight MuJoCo tasks with k = 64 instances and SB3's network and initialisation, for a
random policy, SB3's PPO, PPMO with one gradient step and PPMO with the ridge head: mean return of 100 fresh learners.

    python benchmarks/table4.py --tasks HalfCheetah Hopper --kinds sgd ridge      # what is missing is run
    python benchmarks/table4.py --show                                           # the table of what is there

A run that was cut off goes on from its last checkpoint in runs/. `--scale 2` doubles the environment steps of a new run, and
`--again` goes on from the best set there is, which a better one replaces.
"""

import argparse
import importlib.util
import resource
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
from common import DATASETS, one_thread, read, write
from rich.console import Console
from rich.table import Table
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

from sb3_distill import PPMO, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.envpool_vec_env import EnvPoolVecEnv

RUNS = Path("runs")
# Paper: random policy, RL, distilled. Environment steps of a first pass.
TASKS: dict[str, tuple[float, float, float, float]] = {
    "HalfCheetah": (-282, 1908, 2226, 8e6),
    "Hopper": (21, 1441, 2168, 5e6),
    "Walker2d": (2.1, 3537, 332, 4e6),
    "Ant": (-52, 3980, 3115, 2.5e6),
    "Humanoid": (123, 631, 544, 1.5e6),
    "HumanoidStandup": (34_034, 104_950, 138_478, 1.5e6),
    "InvertedDoublePendulum": (57, 7553, 1235, 3e6),
    "Reacher": (-42.95, -5.63, -7.78, 4e6),
}
# As the prototypes: 4 learners with 16 environments each.
SETTINGS: dict[str, Any] = dict(
    n_instances=64,
    n_learners=4,
    n_steps=256,
    n_epochs=4,
    batch_size=1024,
    learning_rate="lin_0.001",
    labels_learning_rate="lin_0.005",
    rates_learning_rate="lin_0.005",
    log_std_learning_rate="lin_0.001",
    critic_learning_rate="lin_0.001",
    weight_decay=0.0,
)
KINDS: dict[str, dict[str, Any]] = {"sgd": dict(inner_rate_per_role=True), "ridge": dict(inner_loop="ridge")}
CHANGES: dict[str, dict[str, Any]] = {}
N_ENVS = 64
# Learning goes on in EnvPool where it is installed, evaluation always in Gymnasium with the installed MuJoCo.
VEC_ENV = EnvPoolVecEnv if importlib.util.find_spec("envpool") else None


class Checkpoint(BaseCallback):
    """Saves model and statistics every few minutes; the file appears whole or not at all."""

    def __init__(self, path: Path, minutes: float = 3.0) -> None:
        super().__init__()
        self.path, self.seconds, self.last = path, 60 * minutes, time.perf_counter()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if time.perf_counter() - self.last > self.seconds:
            self.last = time.perf_counter()
            part = self.path.with_suffix(".part.zip")
            self.model.save(part)
            part.replace(self.path)


def normalized(task: str, seed: int, gamma: float) -> VecNormalize:
    return VecNormalize(make_vec_env(f"{task}-v4", N_ENVS, seed=seed, vec_env_cls=VEC_ENV), gamma=gamma)


def score(dataset: SyntheticDataset, **kwargs: Any) -> dict[str, Any]:
    evaluate = dict(n_learners=100, n_episodes=2, max_envs=100, seed=1000, **kwargs)
    return {
        name: evaluate_learners(dataset, deterministic=name == "greedy", **evaluate).summary()
        for name in ("sampled", "greedy")
    }


def distil(task: str, kind: str, seed: int, steps: int, again: SyntheticDataset | None) -> tuple[PPMO, dict[str, Any]]:
    """Distil, or go on from a checkpoint."""
    settings: dict[str, Any] = {**SETTINGS, **KINDS[kind], **CHANGES.get(task, {})}
    path = RUNS / f"table4-{task}-{kind}-{seed}.zip"
    env = normalized(task, seed, settings.get("gamma", 0.99))
    start = time.perf_counter()
    if path.exists():
        model = PPMO.load(path, env)
        model.learn(steps - model.num_timesteps, Checkpoint(path), reset_num_timesteps=False)
    else:
        model = PPMO("MlpPolicy", env, seed=seed, initial_dataset=again, **settings)
        model.learn(steps, Checkpoint(path))
    path.unlink(missing_ok=True)
    env.close()
    return model, {"seconds": time.perf_counter() - start, "steps": model.num_timesteps, "seed": seed}


def ppo(task: str, seed: int, steps: int) -> dict[str, Any]:
    """SB3's PPO with its defaults on 16 normalised environments."""
    env = VecNormalize(make_vec_env(f"{task}-v4", 16, seed=seed, vec_env_cls=VEC_ENV))
    start = time.perf_counter()
    model = PPO("MlpPolicy", env, n_steps=512, batch_size=256, seed=seed, device="cpu")
    model.learn(steps)
    seconds = time.perf_counter() - start
    env.training = env.norm_reward = False
    greedy, _ = evaluate_policy(model, env, 50)
    sampled, _ = evaluate_policy(model, env, 50, deterministic=False)
    env.close()
    return {"seconds": seconds, "steps": steps, "seed": seed, "sampled": {"mean": sampled}, "greedy": {"mean": greedy}}


def random_policy(task: str) -> dict[str, Any]:
    """Uniform actions, 100 episodes."""
    env = make_vec_env(f"{task}-v4", 50, seed=0)
    env.reset()
    returns: list[float] = []
    while len(returns) < 100:
        infos = env.step([env.action_space.sample() for _ in range(50)])[3]  # type: ignore[arg-type]
        returns += [info["episode"]["r"] for info in infos if "episode" in info]
    env.close()
    return {"sampled": {"mean": sum(returns) / len(returns)}, "seconds": 0.0, "steps": 0}


def run(task: str, kind: str, seed: int, scale: float, again: bool) -> None:
    name = f"{task}/{kind}/{seed}"
    before = read("table4").get(name)
    if before is not None and not again:
        return
    steps = int(scale * TASKS[task][3])
    if kind == "random":
        entry = random_policy(task)
    elif kind == "ppo":
        entry = ppo(task, seed, steps)
    else:
        path = RUNS / f"{task}-{kind}-{seed}.safetensors"
        shipped = DATASETS / f"{task}-v4--{kind}.safetensors"
        known = next((file for file in (path, shipped) if file.exists()), None)
        start = SyntheticDataset.load(known) if again and known else None
        model, entry = distil(task, kind, seed, steps, start)
        model.dataset.save(path.with_suffix(".new.safetensors"))
        entry |= score(model.dataset)
        if before is not None and start is not None:
            entry["seconds"] += before["seconds"]
            entry["steps"] += before["steps"]
            if best(entry) < best(before):
                print(f"{name}: {best(entry):.1f} is not better than {best(before):.1f}", flush=True)
                return
        model.dataset.info.scores = {kind: entry[kind] for kind in ("sampled", "greedy")}
        model.dataset.save(path)
    entry["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    scores = {kind: round(entry[kind]["mean"], 1) for kind in ("sampled", "greedy") if kind in entry}
    print(f"{name}: {entry['seconds']:.0f} s, {entry['steps']:,} steps, {scores}", flush=True)
    write("table4", {**read("table4"), name: entry})


def best(entry: dict[str, Any]) -> float:
    return max(entry[kind]["mean"] for kind in ("sampled", "greedy") if kind in entry)


def show() -> None:
    table = Table(title="MuJoCo v4, mean return of 100 fresh learners (greedy or sampled, whichever is better)")
    kinds = ("random", "ppo", "sgd", "ridge")
    for column in ("", "paper: random", "RL", "distilled", *kinds):
        table.add_column(column, justify="right" if column else "left")
    results = read("table4")
    for task, (*paper, _) in TASKS.items():
        cells = []
        for kind in kinds:
            entries = [entry for name, entry in results.items() if name.startswith(f"{task}/{kind}/")]
            cells.append(" / ".join(f"{best(entry):,.1f}" for entry in entries) or "not run")
        table.add_row(task, *(f"{value:,.1f}" for value in paper), *cells)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--kinds", nargs="*", default=["random", "sgd", "ridge", "ppo"], choices=["random", "ppo", *KINDS])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the environment steps")
    parser.add_argument("--again", action="store_true", help="go on from the best set there is")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    one_thread()
    gym.logger.min_level = gym.logger.ERROR  # v4 is out of date on purpose
    RUNS.mkdir(exist_ok=True)
    if not options.show:
        for task in options.tasks:
            for kind in options.kinds:
                for seed in options.seeds:
                    run(task, kind, seed, options.scale, options.again)
    show()


if __name__ == "__main__":
    main()
