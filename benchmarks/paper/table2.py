"""
Table 2 of Wilhelm & Ventura (2025): Atari from images with an encoder that is rolled back, from reinforcement learning (all
five layers of the actor in the encoder) to full distillation (none): true scores of fresh learners, their ratio to our own
PPO, and what it cost.

    python benchmarks/paper/table2.py --games Centipede --levels 5 4 --timesteps 500000    # what is missing is run
    python benchmarks/paper/table2.py --show                                               # the table of what is there

    python benchmarks/paper/table2.py --games Pong --levels 5 4 --finish 500000            # then with steps that shrink

A level starts from what the one above has learned, the first of `--levels` from nothing; of several ways to a level the best
stays in the table. A run can be cut off at any moment and goes on from its last checkpoint in runs/table2-<game>-<levels>, or
`--folder`; datasets, results and checkpoints lie there. With fewer `--timesteps` than it has a run is scored as it is.
"""

import argparse
import json
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch as th
from rich.console import Console
from rich.table import Table
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import RUNS, read, write
from sb3_distill import PPMO, make_vec_env
from sb3_distill.cli.parsing import literal
from sb3_distill.environments.atari.vec_env import AtariVecEnv
from sb3_distill.rollback.checkpoints import Checkpoints, resume
from sb3_distill.rollback.ladder import carry_critic, critic_path, read_results, rollback, score_level
from sb3_distill.typing import Json

# Paper: RL, l = 4, 3, 2, 1, full distillation; instances.
GAMES: dict[str, tuple[tuple[float | None, ...], int]] = {
    "Centipede": ((8011, 8438, 7860, 8266, 8144, 8042), 10),
    "SpaceInvaders": ((1508, 2123, 1443, 768, None, 284), 4),
    "MsPacman": ((4310, 3351, 2950, 2570, None, 415), 6),
    "Pong": ((19.7, 21.0, 5.6, -9.1, None, None), 4),
}
LEVELS = (5, 4, 3, 2, 1, 0)
# Many environments and few passes: gradients are mostly noise, and a fresh step costs less than two passes over an old one.
SETTINGS: Json = dict(
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
SEEING: Json = dict(n_steps=32, batch_size=256, n_epochs=3, encoder_learning_rate=5e-4, ent_coef=0.01)
CHANGES: dict[str, Json] = {"Pong": SEEING, "SpaceInvaders": SEEING, "MsPacman": SEEING}
# Where few points are far larger than the others (the mystery ship, ghosts), they are clipped after scaling.
CLIPPED: dict[str, Json] = {game: dict(clip_reward=1.0) for game in ("SpaceInvaders", "MsPacman")}
N_ENVS = 64
EVALUATED = (20, 5)


def make_env(game: str, n_envs: int) -> VecEnv:
    return make_vec_env(f"{game}NoFrameskip-v4", n_envs, seed=0, vec_env_cls=AtariVecEnv)


def learning_env(game: str) -> VecEnv:
    return VecNormalize(make_env(game, N_ENVS), norm_obs=False, **CLIPPED.get(game, {}))


def settings_of(game: str) -> Json:
    return {**SETTINGS, **CHANGES.get(game, {}), "n_instances": GAMES[game][1]}


def settings_of_the_end(game: str) -> Json:
    """The last part of a level: step sizes fall to zero, and next to nothing is paid for a random choice."""
    rates = {name: f"lin_{value}" for name, value in settings_of(game).items() if name.endswith("learning_rate")}
    return {**rates, "ent_coef": 0.001}


def run(game: str, levels: list[int], timesteps: int, folder: Path, device: str, minutes: float, changes: Json) -> None:
    entries = rollback(
        "CnnPolicy", partial(learning_env, game), levels, timesteps, folder, *EVALUATED, partial(make_env, game), minutes,
        device=device, **{**settings_of(game), **changes},
    )  # fmt: skip
    for level, entry in entries.items():
        keep(f"{game}/{level}", entry)


class Start(NamedTuple):
    """Where the last part of a level begins, or goes on."""

    model: PPMO
    steps_before: int
    """Environment steps of the level before its last part."""
    steps: int
    """Environment steps of the last part so far."""


def start_of_finish(game: str, level: int, folder: Path, env: VecEnv, device: str, changes: Json) -> Start:
    """
    A level as it was left: from the checkpoint of its last part, else from its own, whether it has been scored or not, else
    from its files, as they come from another machine.
    """
    note = folder / f"l{level}-finish.json"
    model = resume(PPMO, folder / f"l{level}-finish", env, device=device, **changes)
    if model is not None:
        return Start(model, json.loads(note.read_text())["steps_before"], model.num_timesteps)
    model = resume(PPMO, folder / f"l{level}", env, device=device, **changes)
    if model is not None:
        steps_before = model.num_timesteps
    else:
        result = read_results(folder).get(str(level))
        if result is None:
            raise SystemExit(f"{folder} has nothing of level {level} to go on from")
        settings = {**settings_of(game), "dataset_init": "normal", **changes}  # the dataset brings its start
        start: Json = dict(encoder_layers=level, initial_dataset=str(folder / f"l{level}.safetensors"))
        model = PPMO("CnnPolicy", env, device=device, **start, **settings)
        carry_critic(model, critic_path(folder, level))
        steps_before = result["level_timesteps"]
        model.learning_seconds = result["seconds"]  # type: ignore[attr-defined]  # `Checkpoints` counts on from there
    note.write_text(json.dumps({"steps_before": steps_before}))
    return Start(model, steps_before, 0)


def finish(game: str, levels: list[int], timesteps: int, folder: Path, device: str, minutes: float, changes: Json) -> None:
    """Go on with the last level and put the result in its place."""
    level, changes = levels[-1], {**settings_of_the_end(game), **changes}
    env = learning_env(game)
    model, steps_before, steps = start_of_finish(game, level, folder, env, device, changes)
    if steps < timesteps:
        checkpoints = Checkpoints(folder / f"l{level}-finish", minutes)
        model.learn(timesteps - steps, checkpoints, reset_num_timesteps=steps == 0)
        steps = model.num_timesteps
    env.close()
    before = read_results(folder).get(str(level), {}).get("device")
    score_level(
        model, level, None if len(levels) == 1 else levels[-2], folder, *EVALUATED, partial(make_env, game),
        steps_before=steps_before, finish={"timesteps": steps, "device before": before, **changes},
    )  # fmt: skip
    shutil.rmtree(folder / f"l{level}", ignore_errors=True)  # from here on the level is as it is
    for each, entry in read_results(folder).items():
        keep(f"{game}/{each}", entry)


def keep(name: str, entry: Json) -> None:
    """Unless what is there is better."""
    results = read("table2")
    stored = results.get(name)
    if stored is None or stored["sampled"]["mean"] < entry["sampled"]["mean"]:
        write("table2", {**results, name: entry})


def show() -> None:
    results = read("table2")
    table = Table(title="Atari from images, layers in the encoder from all (RL) to none; in brackets the ratio to our own PPO")
    for column in ("", "", *(f"l = {level}" for level in LEVELS)):
        table.add_column(column, justify="right" if column else "left")
    for game, (paper, _) in GAMES.items():
        agent = results.get(f"{game}/5")
        scores, costs = [], []
        for level in LEVELS:
            entry = results.get(f"{game}/{level}")
            if entry is None:
                scores.append("not run")
                costs.append("-")
                continue
            ratio = f" ({entry['sampled']['mean'] / agent['sampled']['mean']:.2f})" if agent and level < LEVELS[0] else ""
            mean, std = entry["sampled"]["mean"], entry["sampled"]["std"]
            scores.append(f"{mean:,.0f} ± {std:,.0f}{ratio}" if abs(mean) >= 100 else f"{mean:.1f} ± {std:.1f}{ratio}")
            devices = {entry.get("device", "cpu"), entry.get("finish", {}).get("device before") or entry.get("device", "cpu")}
            where = "" if devices == {"cpu"} else " CPU and GPU" if "cpu" in devices else " GPU"
            costs.append(f"{entry['timesteps'] / 1e6:.2f} M steps, {entry['seconds'] / 60:.0f} min{where}")
        table.add_row(game, "paper", *("-" if value is None else f"{value:,g}" for value in paper))
        table.add_row("", "sampled", *scores)
        table.add_row("", "in all; this level", *costs)
    Console(width=170).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", nargs="*", default=list(GAMES), choices=list(GAMES))
    parser.add_argument("--levels", nargs="*", type=int, default=list(LEVELS), choices=LEVELS)
    parser.add_argument("--finish", type=int, help="so many steps more for the last level, which shrink")
    parser.add_argument("--timesteps", type=int, default=500_000, help="of the environments, each level")
    parser.add_argument("--folder", type=Path, help="of the ladder, to add levels to one that is there")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--minutes", type=float, default=3.0, help="between checkpoints")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--params", nargs="*", default=[], metavar="NAME:VALUE", help="of PPMO, instead of those here")
    parser.add_argument("--show", action="store_true", help="only show the table")
    options = parser.parse_args()
    th.set_num_threads(options.threads)
    RUNS.mkdir(exist_ok=True)
    changes = {name: literal(value) for name, value in (pair.split(":", 1) for pair in options.params)}
    if not options.show:
        for game in options.games:
            folder = options.folder or RUNS / f"table2-{game}-{'-'.join(map(str, options.levels))}"
            do, timesteps = (run, options.timesteps) if options.finish is None else (finish, options.finish)
            do(game, options.levels, timesteps, folder, options.device, options.minutes, changes)
    show()


if __name__ == "__main__":
    main()
