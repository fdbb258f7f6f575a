"""The command line of a suite: run cells of its table, score them again, ship their sets, or show the table."""

import argparse
import itertools
import resource
from collections.abc import Callable

import gymnasium as gym

from benchmarks.lib.distil import CLONE_STEPS, Mode, distil_from, imitate, ppo
from benchmarks.lib.results import RUNS, one_thread, read, write
from benchmarks.lib.score import WAYS, best, score
from benchmarks.lib.ship import ship
from benchmarks.lib.suite import CLONES, Suite
from sb3_distill import SyntheticDataset

USAGE = """
A run that was cut off goes on from its last checkpoint in runs/. `--scale 2` doubles the environment steps of a new run, and
`--again` goes on from the best set there is, `--warm` starts from the clone, `--anew` from nothing; in each case
the better set stays, in runs/ until `--ship` puts it into the package. `--score` scores the sets that are there once more.
"""
MODES: tuple[Mode, ...] = ("again", "warm", "anew")


def run(suite: Suite, task: str, kind: str, seed: int, scale: float, mode: Mode) -> None:
    """Run one cell of the table, unless it is there and ``mode`` is "missing"."""
    name = f"{task}/{kind}/{seed}"
    before = read(suite.name).get(name)
    if before is not None and mode == "missing":
        return
    steps = int(scale * suite.steps[task])
    if kind in suite.others:
        entry = suite.others[kind](suite.env_id.format(task))
    elif kind == "ppo":
        entry = ppo(suite, task, seed, steps)
    else:
        if kind in CLONES:
            dataset, entry = imitate(suite, task, kind, seed, int(scale * CLONE_STEPS))
        else:
            dataset, entry = distil_from(suite, task, kind, seed, steps, mode)
        path = suite.file(task, kind, seed)
        dataset.save(path.with_suffix(".new.safetensors"))
        entry |= {**score(dataset), "k": dataset.n_instances}
        if before is not None and best(entry) < best(before):
            print(f"{name}: {best(entry):.1f} is not better than {best(before):.1f}", flush=True)
            return
        dataset.info.scores = {way: entry[way] for way in WAYS}
        dataset.save(path)
    entry["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    scores = {way: round(entry[way]["mean"], 1) for way in WAYS if way in entry}
    print(f"{name}: {entry['seconds']:.0f} s, {entry['steps']:,} steps, {scores}", flush=True)
    write(suite.name, {**read(suite.name), name: entry})


def score_again(suite: Suite, task: str, kind: str, seed: int) -> None:
    """Score the set of a cell once more, where the set and its result exist."""
    name, path = f"{task}/{kind}/{seed}", suite.best_set(task, kind, seed)
    entry = read(suite.name).get(name)
    if entry is not None and path is not None:
        write(suite.name, {**read(suite.name), name: {**entry, **score(SyntheticDataset.load(path))}})


def parser_of(suite: Suite, description: str | None) -> argparse.ArgumentParser:
    """The options that all suites have."""
    parser = argparse.ArgumentParser(
        description=(description or "") + USAGE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="*", default=list(suite.steps), choices=list(suite.steps))
    parser.add_argument("--kinds", nargs="*", default=suite.kinds, choices=suite.kinds)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the environment steps")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--again", action="store_true", help="go on from the best set there is")
    modes.add_argument("--warm", action="store_true", help="go on from the clone of PPO's agent in runs/")
    modes.add_argument("--anew", action="store_true", help="start anew, also where there is a result")
    modes.add_argument("--score", action="store_true", help="only score the sets of the results that are there")
    parser.add_argument("--ship", action="store_true", help="put the sets in runs/ into the package")
    parser.add_argument("--show", action="store_true", help="only show the table")
    return parser


def main(suite: Suite, description: str | None, show: Callable[[], None]) -> None:
    """
    :param suite: what is run
    :param description: docstring of the script
    :param show: function that prints the table
    """
    options = parser_of(suite, description).parse_args()
    mode: Mode = next((name for name in MODES if getattr(options, name)), "missing")
    one_thread()
    gym.logger.min_level = gym.logger.ERROR  # v4 is out of date on purpose
    RUNS.mkdir(exist_ok=True)
    if options.ship:
        ship(suite)
    if not (options.show or options.ship):
        for task, kind, seed in itertools.product(options.tasks, options.kinds, options.seeds):
            if options.score:
                score_again(suite, task, kind, seed)
            else:
                run(suite, task, kind, seed, options.scale, mode)
    show()
