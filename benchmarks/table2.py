"""
Table 2 of Wilhelm & Ventura (2025): Atari from images with an encoder that is rolled back, from reinforcement learning (all
five layers of the actor in the encoder) to full distillation (none): true scores of fresh learners, their ratio to our own
PPO, and what it cost.

    python benchmarks/table2.py --games Centipede --levels 5 4 --timesteps 500000    # what is missing is run
    python benchmarks/table2.py --show                                               # the table of what is there

A level starts from what the one above has learned, the first of `--levels` from nothing; of several ways to a level the best
stays in the table. A run can be cut off at any moment and goes on from its last checkpoint in runs/table2-<game>-<levels>;
datasets, results and checkpoints lie there.
"""

import argparse
import os
from typing import Any

import torch as th
from common import read, write
from rich.console import Console
from rich.table import Table
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from suite import RUNS

from sb3_distill import make_vec_env
from sb3_distill.atari.vec_env import AtariVecEnv
from sb3_distill.rollback import read_results, rollback

# Paper: RL, l = 4, 3, 2, 1, full distillation; instances.
GAMES: dict[str, tuple[tuple[float | None, ...], int]] = {
    "Centipede": ((8011, 8438, 7860, 8266, 8144, 8042), 10),
    "SpaceInvaders": ((1508, 2123, 1443, 768, None, 284), 4),
    "MsPacman": ((4310, 3351, 2950, 2570, None, 415), 6),
    "Pong": ((19.7, 21.0, 5.6, -9.1, None, None), 4),
}
LEVELS = (5, 4, 3, 2, 1, 0)
# Many environments and few passes: gradients are mostly noise, and a fresh step costs less than two passes over an old one.
SETTINGS: dict[str, Any] = dict(
    n_learners=8,
    n_steps=64,
    batch_size=512,
    n_epochs=2,
    dataset_init="observations",
    learning_rate=2.5e-3,
    labels_learning_rate=1.5e-2,
    rates_learning_rate=5e-3,
    encoder_learning_rate=2.5e-4,
    critic_learning_rate=5e-4,
    weight_decay=0.0,
    ent_coef=0.003,
    autocast_dtype="bfloat16",
    seed=0,
)
# Where something has to be seen, the encoder has more to learn.
CHANGES: dict[str, dict[str, Any]] = {
    "Pong": dict(n_steps=32, batch_size=256, n_epochs=3, encoder_learning_rate=5e-4, ent_coef=0.01)
}
N_ENVS = 64


def run(game: str, levels: list[int], timesteps: int, device: str) -> None:
    def make(n_envs: int) -> VecEnv:
        return make_vec_env(f"{game}NoFrameskip-v4", n_envs, seed=0, vec_env_cls=AtariVecEnv)

    folder = RUNS / f"table2-{game}-{'-'.join(map(str, levels))}"
    rollback(
        "CnnPolicy", lambda: VecNormalize(make(N_ENVS), norm_obs=False), levels, timesteps, folder, 20, 5, make,
        n_instances=GAMES[game][1], device=device, **{**SETTINGS, **CHANGES.get(game, {})},
    )  # fmt: skip
    results = read("table2")
    for level, entry in read_results(folder).items():
        known = results.get(f"{game}/{level}")
        if known is None or known["sampled"]["mean"] < entry["sampled"]["mean"]:
            results[f"{game}/{level}"] = {**entry, "device": device, "threads": th.get_num_threads()}
    write("table2", results)


def show() -> None:
    results = read("table2")
    table = Table(title="Atari from images, layers in the encoder from all (RL) to none; in brackets the ratio to our own PPO")
    for column in ("", "", *(f"l = {level}" for level in LEVELS)):
        table.add_column(column, justify="right" if column else "left")
    for game, (paper, _) in GAMES.items():
        own: Any = results.get(f"{game}/5")
        scores, costs = [], []
        for level in LEVELS:
            entry = results.get(f"{game}/{level}")
            if entry is None:
                scores.append("not run")
                costs.append("-")
                continue
            ratio = f" ({entry['sampled']['mean'] / own['sampled']['mean']:.2f})" if own and level < LEVELS[0] else ""
            scores.append(f"{entry['sampled']['mean']:,.0f} ± {entry['sampled']['std']:,.0f}{ratio}")
            costs.append(f"{entry['timesteps'] / 1e6:.2f} M steps, {entry['seconds'] / 60:.0f} min")
        table.add_row(game, "paper", *("-" if value is None else f"{value:,g}" for value in paper))
        table.add_row("", "sampled", *scores)
        table.add_row("", "in all; this level", *costs)
    Console(width=170).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", nargs="*", default=list(GAMES), choices=list(GAMES))
    parser.add_argument("--levels", nargs="*", type=int, default=list(LEVELS), choices=LEVELS)
    parser.add_argument("--timesteps", type=int, default=500_000, help="of the environments, each level")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--show", action="store_true", help="only show the table")
    options = parser.parse_args()
    th.set_num_threads(options.threads)
    RUNS.mkdir(exist_ok=True)
    if not options.show:
        for game in options.games:
            run(game, options.levels, options.timesteps, options.device)
    show()


if __name__ == "__main__":
    main()
