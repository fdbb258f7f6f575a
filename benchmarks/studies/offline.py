"""
Recorded play of three MuJoCo tasks, distilled without an environment: returns of fresh learners over the mean return of the
play, beside behaviour cloning on all of the play and real states with learned labels.

    python benchmarks/studies/offline.py --data mixed --seeds 0 1 2     # what is missing is run
    python benchmarks/studies/offline.py --show                        # the table of what is there

Play: fresh learners of the shipped set of one gradient step act greedily (expert); the same with Gaussian noise, tuned on
separate episodes so that a third of their return is left (medium); and equal steps of both and of random actions (mixed).
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.results import RUNS, one_thread, read, write
from sb3_distill import Recording, evaluate_learners, record
from sb3_distill.learners.population import Group, Learners
from sb3_distill.offline import OfflineDistillation
from sb3_distill.typing import Array, Json

NAME = "offline"
TASKS = ("HalfCheetah-v4", "Hopper-v4", "Walker2d-v4")
DATA = {"medium": ("medium",), "mixed": ("random", "medium", "expert"), "expert": ("expert",)}
METHODS = ("distilled", "distilled plain", "cloned", "cloned weighted", "real random", "real ranked")
N_STEPS = 100_000
"""Steps of each part of the play."""
K = 64
DISTIL: Json = dict(n_instances=K, n_learners=8, batch_size=128, inner_loop="carry")
N_UPDATES = 3_000
CLONES: Json = dict(n_learners=5, n_steps=4_000, batch_size=256, learning_rate=1e-3)
RESAMPLES = 2_000
LEARNERS, EPISODES = 20, 5
"""Fresh learners, and episodes of each. Of clones there are fewer, which play as many episodes together."""


def part(task: str, name: str) -> Recording:
    """A part of the play; it is made once, and lies in runs/."""
    path = RUNS / f"{NAME}-{task}-{name}.safetensors"
    if path.exists():
        return Recording.load(path)
    how: Json = dict(n_envs=20, n_steps=N_STEPS, deterministic=True)
    if name == "random":
        play = record("random", task, seed=3, **{**how, "deterministic": False})
    elif name == "expert":
        play = record(f"{task}/sgd", seed=1, **how)
    else:
        play = record(f"{task}/sgd", seed=2, noise=tuned_noise(task), **how)
    # Whole episodes tell the mean return; those that the recording cuts off would leave the long ones out.
    returns = record_like(play, task, 40).returns()
    write(NAME, {**read(NAME), f"play/{task}/{name}": {
        "mean_return": float(returns.mean()), "std": float(returns.std()), "steps": len(play),
        "mean_of_finished": float(play.returns().mean()), "noise": play.sources[0].noise,
    }})  # fmt: skip
    play.save(path)
    return play


def record_like(play: Recording, task: str, n_episodes: int) -> Recording:
    """Whole episodes of the same source."""
    source = play.sources[0]
    return record(
        source.name,
        task,
        n_episodes=n_episodes,
        n_envs=20,
        deterministic=bool(source.deterministic),
        noise=source.noise,
        seed=11,
    )


def tuned_noise(task: str) -> float:
    """Noise that leaves a third of the return, by bisection over 20 episodes each."""

    def mean(noise: float) -> float:
        play = record(f"{task}/sgd", n_episodes=20, n_envs=20, deterministic=True, noise=noise, seed=7)
        return play.behaviour_mean

    wanted, low, high = mean(0.0) / 3, 0.0, 2.0
    for _ in range(7):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) > wanted else (low, middle)
    return (low + high) / 2


def play_of(task: str, data: str) -> tuple[Recording, float]:
    """A recording, and the mean return of its parts."""
    parts = [part(task, name) for name in DATA[data]]
    means = [read(NAME)[f"play/{task}/{name}"]["mean_return"] for name in DATA[data]]
    return Recording.concatenate(parts), float(np.mean(means))


def cloned(run: OfflineDistillation, weights: Array) -> Callable[[Learners], Learners]:
    """
    :param run: holds the play as networks see it
    :param weights: how often each step is drawn
    :return: function that trains learners on minibatches of all of the play, by Adam on the squared error
    """
    inputs, ends = run.observations, th.as_tensor(np.cumsum(weights))
    assert isinstance(inputs, th.Tensor)
    targets = run.actions.float()
    generator = th.Generator().manual_seed(int(run.seed or 0))
    n_steps, batch = CLONES["n_steps"], CLONES["batch_size"]

    def train(learners: Learners) -> Learners:
        groups = []
        for group in learners.groups:
            params = {name: value.clone().requires_grad_() for name, value in group.params.items()}
            optimizer = th.optim.Adam(params.values(), lr=CLONES["learning_rate"])
            for step in range(n_steps):
                optimizer.param_groups[0]["lr"] = CLONES["learning_rate"] * (1 - step / n_steps)
                drawn = th.rand((group.n_learners, batch), generator=generator, dtype=th.float64) * ends[-1]
                rows = th.searchsorted(ends, drawn, right=True).clamp(max=len(inputs) - 1)
                outputs = run.actor.distribution.pull_to_bounds(group.network(params, inputs[rows]), targets[rows])
                errors = (outputs - targets[rows]).square()
                optimizer.zero_grad()
                (errors.mean() * group.n_learners).backward()
                optimizer.step()
            groups.append(Group(group.network, {name: value.detach() for name, value in params.items()}))
        return Learners(groups, learners.encode, learners.n_learners)

    return train


def ranked_rows(play: Recording, run: OfflineDistillation, generator: np.random.Generator) -> Array:
    """K steps, by value rank and low density: of the half with larger returns to go, those whose neighbours are far."""
    candidates = generator.choice(len(play), 20_000, replace=False)
    returns = play.returns_to_go(0.99)[candidates]
    candidates = candidates[returns >= np.median(returns)]
    inputs = run.observations
    assert isinstance(inputs, th.Tensor)
    points, others = inputs[candidates], inputs[generator.choice(len(play), 4_096, replace=False)]
    distances = th.cat([th.cdist(some, others).kthvalue(10, dim=1).values for some in points.split(1_000)]).numpy()
    return generator.choice(candidates, K, replace=False, p=distances / distances.sum())


def run_method(task: str, data: str, method: str, seed: int) -> Json:
    """Train, and let fresh learners play greedily."""
    play, behaviour = play_of(task, data)
    start = time.process_time()
    weighting = "none" if method in ("distilled plain", "cloned") else "advantage"
    settings: dict[str, Any] = dict(DISTIL)
    if method.startswith("real"):  # the states stay, labels, rate and deviation are learned
        settings |= dict(learning_rate=0.0, labels_learning_rate="lin_0.03", rates_learning_rate="lin_0.015",
                         log_std_learning_rate="lin_0.003")  # fmt: skip
    run = OfflineDistillation(play, weighting=weighting, seed=seed, device="cpu", **settings)  # type: ignore[arg-type]
    counts = dict(n_learners=LEARNERS, n_episodes=EPISODES)
    teach: Any = True
    if method.startswith("cloned"):
        teach, counts = cloned(run, run.weights), dict(n_learners=CLONES["n_learners"], n_episodes=20)
    else:
        if method.startswith("real"):
            rng = np.random.default_rng(seed)
            rows = ranked_rows(play, run, rng) if method == "real ranked" else rng.choice(len(play), K, replace=False)
            assert isinstance(run.observations, th.Tensor)
            with th.no_grad():
                run.dataset.observation_parameters()[0].copy_(run.observations[rows])
        run.learn(N_UPDATES)
    seconds = time.process_time() - start
    result = evaluate_learners(run.dataset, deterministic=True, teach=teach, seed=1_000 + seed, **counts)
    if method == "distilled" and data == "mixed" and seed == 0:
        run.dataset.save(RUNS / f"{NAME}-{task}-{data}-set.safetensors")
    return {
        **result.summary(), "of_learners": result.returns.mean(axis=1).round(2).tolist(),
        "behaviour_mean": behaviour, "ratio": result.mean / behaviour, "cpu_seconds": seconds,
    }  # fmt: skip


def returns_of(task: str, data: str, method: str) -> list[Array]:
    """Mean return of each learner, seed by seed."""
    start = f"{task}/{data}/{method}/"
    return [np.array(row["of_learners"]) for key, row in read(NAME).items() if key.startswith(start)]


def bootstrapped(of_seeds: list[Array], rng: np.random.Generator) -> float:
    """The mean of a resample: of seeds, then of the learners of each."""
    chosen = [of_seeds[i] for i in rng.integers(len(of_seeds), size=len(of_seeds))]
    return float(np.mean([rng.choice(one, len(one)).mean() for one in chosen]))


def summaries() -> dict[str, Json]:
    """For each play: its mean, ratios of the methods with 95 % intervals, and differences of the set from cloning."""
    results, rng = read(NAME), np.random.default_rng(0)
    summary: dict[str, Json] = {}
    for task in TASKS:
        for data in DATA:
            rows: dict[str, Json] = {}
            means = [row["behaviour_mean"] for key, row in results.items() if key.startswith(f"{task}/{data}/")]
            returns = {method: of_seeds for method in METHODS if (of_seeds := returns_of(task, data, method))}
            draws = {method: [bootstrapped(one, rng) for _ in range(RESAMPLES)] for method, one in returns.items()}
            for method, of_seeds in returns.items():
                mean = float(np.mean([one.mean() for one in of_seeds]))
                ratios = np.percentile(np.array(draws[method]) / means[0], [2.5, 97.5]).tolist()
                rows[method] = {"seeds": len(of_seeds), "mean": mean, "ratio": [mean / means[0], *ratios]}
                if "cloned" in draws and method != "cloned":
                    apart = np.array(draws[method]) - np.array(draws["cloned"])
                    rows[method]["less_cloned"] = np.percentile(apart, [2.5, 97.5]).tolist()
            if rows:
                summary[f"{task}/{data}"] = {"behaviour_mean": means[0], "methods": rows}
    return summary


def show() -> None:
    """The table: mean return, and its ratio to the mean return of the play with a 95 % interval."""
    table = Table(title="Mean return of greedy fresh learners; ratio to the mean return of the play, 95 % interval")
    for column in ("play", "its mean", *METHODS):
        table.add_column(column, justify="right")
    for name, row in summaries().items():
        cells = []
        for method in METHODS:
            cell = row["methods"].get(method)
            low_to_high = "" if cell is None else "{:.2f}, {:.2f} to {:.2f}".format(*cell["ratio"])
            cells.append("-" if cell is None else f"{cell['mean']:.0f}\n({low_to_high})\nseeds: {cell['seeds']}")
        table.add_row(name, f"{row['behaviour_mean']:.0f}", *cells)
    Console(width=170).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=TASKS)
    parser.add_argument("--data", nargs="*", default=list(DATA), choices=list(DATA))
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--show", action="store_true", help="only show the table")
    options = parser.parse_args()
    one_thread()
    RUNS.mkdir(exist_ok=True)
    for seed in options.seeds if not options.show else []:
        for task in options.tasks:
            for data in options.data:
                for method in options.methods:
                    if (key := f"{task}/{data}/{method}/{seed}") not in read(NAME):
                        row = run_method(task, data, method, seed)
                        write(NAME, {**read(NAME), key: row})
                        print(f"{key}: {row['mean']:.0f}, ratio {row['ratio']:.2f}, {row['cpu_seconds']:.0f} s", flush=True)
    write(NAME, {**read(NAME), "summary": summaries()})
    show()


if __name__ == "__main__":
    main()
