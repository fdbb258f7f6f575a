"""
Full distillation of Atari games from the console's memory (128 bytes): mean true score of fresh learners, k = k_min, SB3's
MlpPolicy.

    python benchmarks/atari_ram.py [--games Centipede Pong] [--kinds sgd ridge]   # what is missing is run
    python benchmarks/atari_ram.py --show
"""

import argparse
import resource
import time
from pathlib import Path
from typing import Any

from common import DATASETS, one_thread, read, write
from rich.console import Console
from rich.table import Table
from stable_baselines3.common.vec_env import VecNormalize
from table4 import RUNS, Checkpoint, best, score

from sb3_distill import PPMO, SyntheticDataset, make_vec_env

# Environment steps of a first pass; paper, from images: RL, full distillation.
GAMES = {
    "Centipede": (4e6, 8011, 8042),
    "SpaceInvaders": (4e6, 1508, 284),
    "MsPacman": (4e6, 4310, 415),
    "Pong": (4e6, 19.7, None),
}
SETTINGS: dict[str, Any] = dict(
    n_learners=8,
    n_steps=64,
    n_epochs=4,
    batch_size=512,
    learning_rate="lin_0.002",
    labels_learning_rate="lin_0.005",
    rates_learning_rate="lin_0.002",
    critic_learning_rate="lin_0.001",
    weight_decay=0.0,
    ent_coef=0.01,
)
KINDS: dict[str, dict[str, Any]] = {"sgd": dict(inner_rate_per_role=True), "ridge": dict(inner_loop="ridge")}
N_ENVS = 64


def distil(game: str, kind: str, seed: int, steps: int, again: Any = None, **changes: Any) -> tuple[Any, dict[str, Any]]:
    settings = {**SETTINGS, **KINDS[kind], **changes}
    path = RUNS / f"ram-{game}-{kind}-{seed}.zip"
    env = VecNormalize(make_vec_env(f"{game}RAM-v0", N_ENVS, seed=seed), gamma=settings.get("gamma", 0.99))
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
    entry = {"seconds": time.perf_counter() - start, "steps": model.num_timesteps, "k": model.n_instances}
    return model.dataset, {**entry, "curve": checkpoint.curve}


if __name__ == "__main__":
    import ast
    import sys

    one_thread()
    RUNS.mkdir(exist_ok=True)
    game, kind, steps, rest = sys.argv[1], sys.argv[2], int(float(sys.argv[3])), sys.argv[4:]
    changes = {k: ast.literal_eval(v) for k, v in (a.split("=", 1) for a in rest)}
    dataset, entry = distil(game, kind, 0, steps, **changes)
    print(entry)
