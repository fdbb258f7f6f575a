"""
Do regularisers make sets teach learners that they were not made with? Each regulariser off and on, with the same seeds and
equal steps, in settings where there is room.

    python benchmarks/studies/regularisers.py run                        # what is missing of all settings, on the grid factors
    python benchmarks/studies/regularisers.py run --settings 2d-sgd --regularisers dropout=0.3 cvar=0.5 --scale 0.1
    python benchmarks/studies/regularisers.py show                       # differences from plain, with intervals
    python benchmarks/studies/regularisers.py choose                     # one regulariser for each setting, by factors alone
    python benchmarks/studies/regularisers.py confirm --settings 2d-sgd  # the chosen one on the grid held out, once
    python benchmarks/studies/regularisers.py cost                       # CPU time of an iteration, off against on
    python benchmarks/studies/regularisers.py scores                     # which figure of a rollout ranks its learners

``r`` is the return of a cell, 0 for untaught learners and 1 for the reference. CVaR.1 is the mean of the worst tenth of the
cells, failure the share of cells with r below 0.2. Intervals are percentiles of a bootstrap over seeds, paired, then cells.
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import gymnasium as gym
import numpy as np
import torch as th
from scipy import stats
from stable_baselines3.common.callbacks import BaseCallback

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.cartpole import N_ENVS, distil
from benchmarks.lib.results import RUNS, one_thread, read, write
from benchmarks.make.wide_sets import settings_of
from benchmarks.paper.table4 import SUITE, TASKS
from sb3_distill import PPMO, SyntheticDataset, evaluate_learners, make_vec_env
from sb3_distill.evaluation.grids import FACTORS, HELD_OUT
from sb3_distill.generalisation import metrics
from sb3_distill.typing import Array, Json

NAME = "regularisers"
SIZES: dict[str, float] = dict(
    cvar=0.3, group_dro=0.05, dropout=0.3, init_noise=0.3, inner_noise=0.3, step_noise=0.5, agreement=0.3
)
PLAIN = "plain"
LARGEST_LOSS = 0.01
"""A regulariser that costs more of the in-distribution return is not chosen."""
FLOOR = 0.05
"""Below this plain CVaR.1 on the factorial grid the worst tenth is not taught at all, and the mean of all cells decides."""
CONFIRMING_SEEDS = range(100, 105)
RESAMPLES = 2000
N_ENVS_MUJOCO = 64


class Setting(NamedTuple):
    """
    :param task: number of axes of cart-pole, or name of a MuJoCo task
    :param kind: a name of ``wide_sets.KINDS``, or of the inner loops of ``table4``
    :param reference: return that counts as 1
    :param changes: arguments of ``PPMO`` in place of those of the kind
    """

    task: int | str
    kind: str
    reference: float
    changes: Json = MappingProxyType({})  # type: ignore[assignment]

    def arguments(self) -> tuple[Json, int]:
        """Arguments of ``PPMO``, and environment steps."""
        if isinstance(self.task, int):
            arguments, steps = settings_of(self.kind, self.task)
            return {**arguments, **self.changes}, steps
        return {**SUITE.settings_of(self.task, self.kind), "learner_distribution": "wide"}, int(SUITE.steps[self.task])

    def takes(self, regulariser: str) -> bool:
        """Whether the regulariser is defined for the inner loop, and the mixture."""
        if regulariser.startswith("group_dro") and self.changes:
            return False
        return self.kind == "sgd" or not regulariser.startswith("step_noise")


SETTINGS = {
    "2d-sgd": Setting(2, "sgd", 500.0),
    "3d-sgd": Setting(3, "sgd", 500.0),
    "3d-ridge": Setting(3, "ridge", 500.0),
    "5d-ridge": Setting(5, "ridge", 500.0),
    # Made for SB3's network alone, so that every other one is a stranger.
    "2d-carry-one": Setting(2, "carry", 500.0, dict(learner_distribution=None, n_instances=6)),
    "half-cheetah": Setting("HalfCheetah", "ridge", TASKS["HalfCheetah"][1]),
}


def sizes_of(regulariser: str) -> dict[str, float]:
    """
    :param regulariser: ``"plain"``, or ``"name=size"``, several with a plus between
    :return: the argument ``regularizers`` of ``PPMO``
    """
    pairs = [] if regulariser == PLAIN else [part.split("=") for part in regulariser.split("+")]
    return {name: float(size) for name, size in pairs}


def distilled(name: str, regulariser: str, seed: int, scale: float) -> tuple[SyntheticDataset, Json]:
    """A set, new or as it lies in runs/, and what it cost."""
    setting = SETTINGS[name]
    arguments, steps = setting.arguments()
    arguments |= {"regularizers": sizes_of(regulariser)}
    key = f"sets/{name}/{regulariser}/scale {scale:g}/seed {seed}"
    path = RUNS / f"{NAME}-{key.replace('/', '-').replace(' ', '')}.safetensors"
    if not path.exists():
        steps, start = int(scale * steps), time.process_time()
        if isinstance(setting.task, int):
            model, _ = distil(setting.task, seed, steps, **arguments)
        else:
            env = SUITE.learning_env(setting.task, N_ENVS_MUJOCO, seed, gamma=arguments.get("gamma", 0.99))
            model = PPMO("MlpPolicy", env, seed=seed, **arguments).learn(steps)
            env.close()
        model.dataset.save(path)
        cost = {"cpu_seconds": time.process_time() - start, "steps": model.num_timesteps}
        weights = model.distiller.regularization.figures()
        write(NAME, {**read(NAME), key: {**cost, **weights, "regularizers": arguments["regularizers"]}})
    return SyntheticDataset.load(path), read(NAME).get(key, {})


def scored(name: str, dataset: SyntheticDataset, grid: str, options: argparse.Namespace, teach: bool = True) -> Json:
    """Mean return of each cell of a grid, and of the learners that the set was made with; sampled actions."""
    counts = dict(n_learners=options.learners, n_episodes=options.episodes, seed=1, teach=teach)
    cells = {cell: result.mean for cell, result in evaluate_learners(dataset, grid=grid, **counts).items()}
    mixture = SETTINGS[name].arguments()[0]["learner_distribution"]
    own = evaluate_learners(dataset, learner_distribution=mixture, **{**counts, "n_learners": 5 * options.learners})
    return {"learners": options.learners, "episodes": options.episodes, "in_distribution": own.mean, "cells": cells}


def folder(grid: str, name: str, options: argparse.Namespace) -> str:
    """How keys of results begin: rows of other numbers of learners and episodes are no part of a comparison."""
    return f"{grid} {options.learners}x{options.episodes}/{name}"


def score(name: str, regulariser: str, seed: int, grid: str, options: argparse.Namespace) -> None:
    """Train and evaluate one run, unless its result is there."""
    start = folder(grid, name, options)
    key, untaught = f"{start}/{regulariser}/scale {options.scale:g}/seed {seed}", f"{start}/untaught"
    if key in read(NAME):
        return
    dataset, cost = distilled(name, regulariser, seed, options.scale)
    if untaught not in read(NAME):
        write(NAME, {**read(NAME), untaught: scored(name, dataset, grid, options, teach=False)})
    row = scored(name, dataset, grid, options)
    write(NAME, {**read(NAME), key: row})
    cells = normalised(name, row, read(NAME)[untaught])
    print(
        f"{key}: {cost.get('cpu_seconds', 0):.0f} s to distil, CVaR.1 {metrics.cvar(cells):.3f}, "
        f"failure {metrics.failure(cells):.3f}, "
        f"mean {cells.mean():.3f}, in distribution {row['in_distribution']:.1f}",
        flush=True,
    )


def normalised(name: str, row: Json, untaught: Json) -> Array:
    """``r`` of each cell ``(1, cells)``, in the shape of ``generalisation.metrics``."""
    low = np.array([untaught["cells"][cell] for cell in row["cells"]])
    return metrics.normalised(np.array([list(row["cells"].values())]), low, SETTINGS[name].reference)


def interval(plain: Array, other: Array, is_cells: bool = True) -> dict[str, list[float]]:
    """
    Differences of CVaR.1 and failure, or of the mean, with 95 % intervals over seeds, then cells.

    :param plain: ``r`` without a regulariser ``(seeds, 1, cells)``
    :param other: the same with one, of the same seeds
    :param is_cells: whether the second axis is cells, and not the one number of a seed
    :return: estimate and both ends, by name
    """
    rng = np.random.default_rng(0)
    functions = {"cvar": metrics.cvar, "failure": metrics.failure} if is_cells else {"in_distribution": metrics.transfer}
    n_seeds, _, n_cells = plain.shape
    draws: dict[str, list[float]] = {metric: [] for metric in functions}
    for _ in range(RESAMPLES):
        seeds, cells = rng.integers(n_seeds, size=n_seeds), rng.integers(n_cells, size=n_cells)
        chosen = np.ix_(seeds, [0], cells)
        for metric, function in functions.items():
            draws[metric].append(float((function(other[chosen]) - function(plain[chosen])).mean()))
    return {
        metric: [float((function(other) - function(plain)).mean()), *np.percentile(draws[metric], [2.5, 97.5]).tolist()]
        for metric, function in functions.items()
    }


def compared(name: str, grid: str, options: argparse.Namespace) -> dict[str, Json]:
    """Each regulariser against plain, over the seeds that both have."""
    rows: dict[str, dict[str, Json]] = {}
    results, start = read(NAME), folder(grid, name, options)
    untaught = results.get(f"{start}/untaught", {})
    for key, row in results.items():
        if key.startswith(f"{start}/") and f"/scale {options.scale:g}/seed" in key:
            *_, regulariser, _, seed = key.split("/")
            rows.setdefault(regulariser, {})[seed] = row
    result: dict[str, Json] = {}
    for regulariser, by_seed in rows.items():
        seeds = sorted(set(by_seed) & set(rows.get(PLAIN, {})))
        if not seeds:
            continue
        plain, other = (np.stack([normalised(name, rows[one][s], untaught) for s in seeds]) for one in (PLAIN, regulariser))
        means = [np.array([[[rows[one][s]["in_distribution"]]] for s in seeds]) for one in (PLAIN, regulariser)]
        result[regulariser] = {
            "seeds": len(seeds), "cvar": float(metrics.cvar(other).mean()), "failure": float(metrics.failure(other).mean()),
            "mean": float(other.mean()), "in_distribution": float(means[1].mean()),
            "difference": {**interval(plain, other), **interval(*means, is_cells=False)},
        }  # fmt: skip
    return result


def is_allowed(name: str, row: Mapping[str, Json], plain: Mapping[str, Json]) -> bool:
    """Whether the in-distribution return falls by no more than ``LARGEST_LOSS`` of the reference."""
    return bool(plain["in_distribution"] - row["in_distribution"] <= LARGEST_LOSS * abs(SETTINGS[name].reference))


def run(options: argparse.Namespace) -> None:
    for name, seed, regulariser in itertools.product(options.settings, options.seeds, [PLAIN, *options.regularisers]):
        if SETTINGS[name].takes(regulariser):
            score(name, regulariser, seed, FACTORS, options)
    show(options)


def show(options: argparse.Namespace) -> None:
    for grid, name in itertools.product((FACTORS, HELD_OUT), options.settings):
        for regulariser, row in compared(name, grid, options).items():
            changes = [f"{metric} {a:+.3f} [{b:+.3f}, {c:+.3f}]" for metric, (a, b, c) in row["difference"].items()]
            print(
                f"{grid} {name} {regulariser}, {row['seeds']} seeds: CVaR.1 {row['cvar']:.3f}, failure {row['failure']:.3f}, "
                f"mean {row['mean']:.3f}, in distribution {row['in_distribution']:.1f}; {', '.join(changes)}"
            )


def choose(options: argparse.Namespace) -> None:
    """
    The regulariser with the highest CVaR.1 on the factorial grid, or the highest mean where CVaR.1 is at its floor, of those
    that are allowed; plain if none is better.
    """
    for name in options.settings:
        rows = compared(name, FACTORS, options)
        allowed = [one for one, row in rows.items() if is_allowed(name, row, rows[PLAIN])]
        if not allowed:
            continue
        criterion = "mean" if rows[PLAIN]["cvar"] < FLOOR else "cvar"
        best = max(allowed, key=lambda one: rows[one][criterion])
        print(f"{name}: {best}, by {criterion}")
        chosen = {"regulariser": best, "criterion": criterion, "scale": options.scale, "factors": rows[best]}
        write(NAME, {**read(NAME), f"chosen/{name}": chosen})


def confirm(options: argparse.Namespace) -> None:
    """
    The chosen regulariser and plain on the grid that was held out, with seeds of their own.

    :raises SystemExit: if nothing was chosen, or this was done before
    """
    for name in options.settings:
        results = read(NAME)
        chosen = results.get(f"chosen/{name}")
        if chosen is None or chosen["regulariser"] == PLAIN:
            sys.exit(f"{name}: no regulariser is chosen; run `choose`")
        if f"confirmed/{name}" in results:
            sys.exit(f"{name}: confirmed before, and the grid {HELD_OUT} is looked at once")
        options.scale = chosen["scale"]
        for seed, regulariser in itertools.product(CONFIRMING_SEEDS, (PLAIN, chosen["regulariser"])):
            score(name, regulariser, seed, HELD_OUT, options)
        confirmed = compared(name, HELD_OUT, options)
        write(NAME, {**read(NAME), f"confirmed/{name}": confirmed})
    show(options)


def cost(options: argparse.Namespace) -> None:
    """
    CPU time of an iteration of 2-D cart-pole with 8 learners of SB3's shape, from two initialisations, and 16 instances, in
    turns.
    """
    mixture = [{"init": "orthogonal"}, {"init": "xavier_normal"}]  # of one shape: draws of shapes would hide small costs
    result: Json = {}
    for loop in ("sgd", "ridge", "carry"):
        common = dict(n_instances=16, n_learners=8, learner_distribution=mixture, n_epochs=1, batch_size=2048, seed=0)
        models: dict[str, PPMO] = {}
        for regulariser in [PLAIN, *options.regularisers]:
            if loop != "sgd" and regulariser.startswith("step_noise"):
                continue
            env = make_vec_env("NDCartPole2D-v0", N_ENVS, seed=0)
            models[regulariser] = PPMO("MlpPolicy", env, inner_loop=loop, regularizers=sizes_of(regulariser), **common)
            models[regulariser].learn(1)
        seconds: dict[str, list[float]] = {regulariser: [] for regulariser in models}
        for _ in range(options.rounds):
            for regulariser, model in models.items():
                start = time.process_time()
                model.learn(1, reset_num_timesteps=False)
                seconds[regulariser].append(time.process_time() - start)
        for regulariser in models:
            ratios = [on / off for on, off in zip(seconds[regulariser], seconds[PLAIN], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            result[f"{loop}/{regulariser}"] = {"ratio": middle, "quartiles": [low, high], "rounds": options.rounds}
            print(f"{loop}, {regulariser}: {middle:.2f} times as long, quartiles {low:.2f} to {high:.2f}", flush=True)
    write(NAME, {**read(NAME), "cost": result})


class RankCorrelations(BaseCallback):
    """Ranks of learners by figures of a rollout, against ranks by the mean return of 20 episodes of the same learners."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Json] = []
        self._n_rollouts = 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._n_rollouts += 1
        if self._n_rollouts % 10:
            return
        assert isinstance(self.model, PPMO)
        model, buffer = self.model, self.model.rollout_buffer
        with th.no_grad():
            taught = model.distiller.teach(model.learners)
        returns = evaluate_learners(model.dataset, model.n_learners, 20, teach=lambda _: taught).learner_means
        row: Json = {"steps": model.num_timesteps, "mean": float(returns.mean()), "std": float(returns.std())}
        for figure in ("advantages", "returns"):
            values = getattr(buffer, figure).reshape(buffer.buffer_size, model.n_learners, -1).mean(axis=(0, 2))
            row[figure] = float(stats.spearmanr(values, returns).statistic)
        print({name: round(value, 2) for name, value in row.items()}, flush=True)
        self.rows.append(row)


def scores(options: argparse.Namespace) -> None:
    """A tenth of the run of the 2-D set with one gradient step and observations as they are, without regularisers."""
    arguments, steps = settings_of("sgd-raw", 2)
    callback = RankCorrelations()
    distil(2, 0, steps // 10, callback=callback, **arguments)
    write(NAME, {**read(NAME), "scores": callback.rows})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = {function.__name__: function for function in (run, show, choose, confirm, cost, scores)}
    parser.add_argument("what", choices=list(commands))
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    sizes = [f"{name}={size:g}" for name, size in SIZES.items()]
    parser.add_argument("--regularisers", nargs="*", default=sizes, metavar="NAME=SIZE", help=f"default: {' '.join(sizes)}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--scale", type=float, default=1.0, help="of the environment steps of the shipped sets")
    parser.add_argument("--learners", type=int, default=20, help="of each cell")
    parser.add_argument("--episodes", type=int, default=20, help="of each learner")
    parser.add_argument("--rounds", type=int, default=16, help="of cost")
    options = parser.parse_args()
    one_thread()
    gym.logger.min_level = gym.logger.ERROR  # v4 is out of date on purpose
    RUNS.mkdir(exist_ok=True)
    commands[options.what](options)


if __name__ == "__main__":
    main()
