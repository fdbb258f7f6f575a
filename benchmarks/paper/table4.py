"""
Table 4 of Wilhelm & Ventura (2025): the eight MuJoCo tasks with k = 64 instances and SB3's network and initialisation, for a
random policy, SB3's PPO, its agent cloned, PPMO with one gradient step and PPMO with the ridge head: mean return of 100 fresh
learners.

    python benchmarks/paper/table4.py --tasks HalfCheetah Hopper --kinds sgd ridge      # what is missing is run
    python benchmarks/paper/table4.py --show                                           # the table of what is there
"""

import importlib.util
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib import command_line
from benchmarks.lib.results import PICTURES, read
from benchmarks.lib.score import best
from benchmarks.lib.suite import WEIGHTED_CLONE, Suite
from sb3_distill.environments.envpool_vec_env import EnvPoolVecEnv
from sb3_distill.typing import Json

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
SETTINGS: Json = dict(
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
# Actions of these two lie in [-0.4, 0.4]; and where there are 376 observations, random points are far from all states, and
# most numbers are of little use.
HUMANOID: Json = dict(
    dataset_init="observations",
    policy_kwargs=dict(log_std_init=-1.5),
    learning_rate="lin_0.001",
    labels_learning_rate="lin_0.001",
    input_scale_learning_rate="lin_0.001",
)
CHANGES: dict[str, Json] = {"Humanoid": HUMANOID, "HumanoidStandup": HUMANOID}
# Learning goes on in EnvPool where it is installed, evaluation always in Gymnasium with the installed MuJoCo.
SUITE = Suite(
    name="table4",
    env_id="{}-v4",
    steps={task: steps for task, (*_, steps) in TASKS.items()},
    settings=SETTINGS,
    changes=CHANGES,
    clone_changes=dict.fromkeys(CHANGES, WEIGHTED_CLONE),
    ppo_settings=dict(n_steps=512, batch_size=256),
    vec_env_cls=EnvPoolVecEnv if importlib.util.find_spec("envpool") else None,
)


def show() -> None:
    table = Table(title="MuJoCo v4, mean return of 100 fresh learners (greedy or sampled, whichever is better)")
    for column in ("", "paper: random", "RL", "distilled", *SUITE.kinds):
        table.add_column(column, justify="right" if column else "left")
    results = read(SUITE.name)
    for task, (*paper, _) in TASKS.items():
        cells = []
        for kind in SUITE.kinds:
            entries = [entry for name, entry in results.items() if name.startswith(f"{task}/{kind}/")]
            cells.append(" / ".join(f"{best(entry):,.1f}" for entry in entries) or "not run")
        table.add_row(task, *(f"{value:,.1f}" for value in paper), *cells)
    Console(width=140).print(table)
    draw_curves(results)


def draw_curves(results: Json) -> None:
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
    command_line.main(SUITE, __doc__, show)


if __name__ == "__main__":
    main()
