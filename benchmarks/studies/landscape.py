"""
Loss landscapes: what a distilled batch does to a network, beside controls.

Fixed before anything was scored: the sets below (one gradient step, two steps, the ridge head and carry, as they are shipped),
RL from the same start by PPO for as many steps as the table says, planes of 15 x 15 points with 8 episodes each, 5 planes with
the taught network and 5 without, 20 draws of shuffled and of random labels, seeds 0 to 4. Intervals are those of a bootstrap
over seeds. What counts is the table of the issue: `TARGETS`. A figure that a control reaches too says nothing, and is printed
as such.

"robustness" plays the taught and the RL-trained network under noise on actions, heavier poles and friction, at five levels
each. "after an update" makes single PPO updates from both, and counts the share that falls into the left tail (below half of
the return before; after Rahn et al., *Policy Optimization in a Noisy Neighborhood*, 2023).

Each seed of a set is a piece in runs/landscape/, as is each path of RL; a run that was cut off goes on behind the last one.

    python benchmarks/studies/landscape.py [--dims 1 2 3] [--kinds step ridge ...] [--seeds 5] [--show] [--speed] [--pictures]
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

sys.path.insert(0, str(Path(__file__).parents[2]))  # the repository
from benchmarks.lib.landscape_tables import TABLES
from benchmarks.lib.results import PICTURES, RUNS, one_thread, read, write
from nd_cartpole import dynamics
from sb3_distill import SyntheticDataset, make_vec_env, shipped_sets
from sb3_distill.generalisation.bootstrap import estimate
from sb3_distill.generalisation.metrics import transfer
from sb3_distill.landscape import Landscape, LandscapeReport
from sb3_distill.landscape.figures.controls import shuffled
from sb3_distill.landscape.maths.objectives import Batch, loss_left
from sb3_distill.landscape.maths.planes import line
from sb3_distill.landscape.maths.scores import barrier
from sb3_distill.landscape.names import INITIAL, RL, TAUGHT
from sb3_distill.landscape.points.training import train_from
from sb3_distill.landscape.study import Keep, around, landscape_report
from sb3_distill.typing import Array, Json

FILE = "landscape"
FOLDER = RUNS / FILE
KINDS = {"step": "", "two steps": "/wide-steps", "ridge": "/wide", "carry": "/any"}
"""Ways of teaching, and the shipped sets of each."""
RL_STEPS = {1: 400_000, 2: 400_000, 3: 1_500_000, 4: 3_000_000, 5: 5_000_000}
"""Timesteps of RL in cart-pole of each number of axes."""
SIZE, EPISODES, PLANES, CONTROLS = 15, 8, 5, 20
LEVELS = {
    "action noise": (0.05, 0.1, 0.2, 0.3, 0.4),
    "pole mass x": (0.25, 0.5, 2.0, 4.0, 8.0),
    "friction": (0.5, 1.0, 2.0, 4.0, 8.0),
}
"""Perturbations: share of random actions, factor of the pole's mass, friction of the cart in N s / m."""
TEST_EPISODES = 50
UPDATES = 20
"""Single updates of PPO from each network."""
TARGETS: dict[str, tuple[str, str | None, Callable[[float], bool]]] = {
    "barrier taught - RL, greedy": ("barrier greedy", None, lambda value: value <= 0.05),
    "barrier taught - RL, sampled": ("barrier sampled", None, lambda value: value <= 0.05),
    "Fisher share": ("fisher share", None, lambda value: value >= 0.7),
    "gradient cosine less random labels": ("gradient cosine", "random labels", lambda value: value >= 0.15),
    "regret without the taught network": ("regret mse without", None, lambda value: value <= 0.1),
    "the same, scale-free": ("regret profiled without", None, lambda value: value <= 0.1),
    "loss left at alpha* = 1": ("loss left", None, lambda value: value <= 0.5),
}
"""Rows of the table: a figure, what is taken off, and what it must reach."""


def dataset_of(n_dims: int, kind: str) -> SyntheticDataset | None:
    """The shipped set; ``None`` where there is none."""
    try:
        return SyntheticDataset.load(f"NDCartPole{n_dims}D-v0{KINDS[kind]}")
    except FileNotFoundError:
        return None


def piece(n_dims: int, kind: str, dataset: SyntheticDataset, seed: int) -> LandscapeReport:
    """One seed of a set, measured or read."""
    return landscape_report(
        dataset, RL_STEPS[n_dims], 1, SIZE, EPISODES, PLANES, CONTROLS, seed, folder=FOLDER, name=f"{n_dims}-D {kind}"
    )


def landscape_of(n_dims: int, kind: str, seed: int) -> Landscape:
    """A landscape with the path of RL that was kept."""
    dataset = dataset_of(n_dims, kind)
    assert dataset is not None
    sizes = (SIZE, EPISODES, PLANES, CONTROLS)
    keep = Keep.of(FOLDER, dataset, RL_STEPS[n_dims], None, sizes)
    return around(dataset, seed, RL_STEPS[n_dims], "step-rl", keep=keep)


class NoisyActions(VecEnvWrapper):
    """
    :param venv: environments with ``Discrete`` actions
    :param share: share of actions that are replaced by random ones
    """

    def __init__(self, venv: VecEnv, share: float) -> None:
        super().__init__(venv)
        self.share, self.rng = share, np.random.default_rng(0)

    def reset(self) -> Any:
        return self.venv.reset()

    def step_async(self, actions: Array) -> None:
        replaced = self.rng.random(len(actions)) < self.share
        random = self.rng.integers(self.action_space.n, size=len(actions))  # type: ignore[attr-defined]
        self.venv.step_async(np.where(replaced, random, actions))

    def step_wait(self) -> Any:
        return self.venv.step_wait()


@contextmanager
def physics(mass: float = 1.0, friction: float = 0.0) -> Iterator[None]:
    """Cart-pole of another pole's mass, or with friction of the cart."""
    names = ("POLE_MASS", "TOTAL_MASS", "POLE_MASS_LENGTH", "step")
    before = {name: getattr(dynamics, name) for name in names}
    pole = dynamics.POLE_MASS * mass

    def step(state: Array, force: Array) -> Array:
        moved: Array = before["step"](state, force - friction * state[..., 1])
        return moved

    dynamics.POLE_MASS, dynamics.TOTAL_MASS = pole, dynamics.CART_MASS + pole  # type: ignore[misc]
    dynamics.POLE_MASS_LENGTH = pole * dynamics.POLE_HALF_LENGTH  # type: ignore[misc]
    dynamics.step = step
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(dynamics, name, value)


def robustness(n_dims: int, seeds: int) -> Json:
    """Return of the taught less that of the RL-trained network, under each perturbation and level, greedy."""
    returns: dict[str, list[list[float]]] = {}
    for seed in range(seeds):
        place = landscape_of(n_dims, "step", seed)
        points = th.stack([place.points[TAUGHT], place.points[RL]])
        for what, levels in LEVELS.items():
            for level in levels:

                def make(n: int, share: float = level if what == "action noise" else 0.0) -> VecEnv:
                    return NoisyActions(make_vec_env(f"NDCartPole{n_dims}D-v0", n), share)

                changed = {"pole mass x": {"mass": level}, "friction": {"friction": level}}.get(what, {})
                with physics(**changed):
                    means = place.arena.returns(points, TEST_EPISODES, env=make).mean(axis=1)
                returns.setdefault(f"{what} {level:g}", []).append(means.tolist())
    return {
        name: {
            "taught": float(np.mean(values, axis=0)[0]),
            "RL": float(np.mean(values, axis=0)[1]),
            "taught less RL": estimate(transfer, np.diff(values)[:, ::-1] * -1)[0].summary(),
        }
        for name, values in returns.items()
    }


def after_an_update(n_dims: int, seeds: int) -> Json:
    """Returns after single PPO updates, taught against RL-trained: share below half of the return before, and the means."""
    rows = []
    for seed in range(seeds):
        place = landscape_of(n_dims, "step", seed)
        row = {}
        for name in (TAUGHT, RL):
            start = place.points[name]
            settings = {"n_steps": 32, "batch_size": 512, "n_epochs": 10, "learning_rate": "lin_1e-3"}
            ends = [train_from(place.shape, start, 64 * 32, update, settings=settings)[-1] for update in range(UPDATES)]
            means = place.arena.returns(th.stack([start, *ends]), 16, deterministic=False).mean(axis=1)
            row[name] = [float((means[1:] < means[0] / 2).mean()), float(means[1:].mean()), float(means[0])]
        rows.append(row)
    table = {name: np.array([row[name] for row in rows]) for name in (TAUGHT, RL)}
    difference = table[TAUGHT][:, :1] - table[RL][:, :1]
    return {
        **{
            name: {"left tail": float(values[:, 0].mean()), "return after": float(values[:, 1].mean()),
                   "return before": float(values[:, 2].mean())}
            for name, values in table.items()
        },
        "left tail, taught less RL": estimate(transfer, difference)[0].summary(),
    }  # fmt: skip


def between_seeds(n_dims: int, kind: str, seeds: int) -> Json:
    """Greedy barriers between networks of two initialisations, before and after units are matched."""
    places = [landscape_of(n_dims, kind, seed) for seed in range(seeds)]
    heights: dict[str, list[float]] = {}
    for one, two in zip(places, [*places[1:], places[0]], strict=True):
        for start, end in ((TAUGHT, TAUGHT), (TAUGHT, RL), (RL, RL)):
            a, b = one.points[start], two.points[end]
            ends = {"as they are": b, "matched": one.matched(a, b)}
            at = np.linspace(0, 1, 11)
            means = one.arena.returns(th.cat([line(a, point, at) for point in ends.values()]), 16).mean(axis=1)
            scale = means[[0, 10]].max() - one.floor
            for (name, _), values in zip(ends.items(), means.reshape(2, 11), strict=True):
                heights.setdefault(f"{start} - {end} {name}", []).append(barrier(values, scale))
    return {name: estimate(transfer, np.array(values)[:, None])[0].summary() for name, values in heights.items()}


def at_alpha_one(n_dims: int, seeds: int) -> Json:
    """
    The one-step set with labels at the scale that puts the minimum along the step at the taught network, and rates as much
    smaller: what is left of the loss there, and the returns. The scale is the mean of five other initialisations.
    """
    dataset = dataset_of(n_dims, "step")
    assert dataset is not None
    scales = []
    for seed in range(1_000, 1_005):
        place = Landscape.around(dataset, seed, directions="random")
        outputs = place.outputs(th.stack([place.points[INITIAL], place.points[TAUGHT]]), place.batch.inputs)
        change = outputs[1] - outputs[0]
        scales.append(float(change.square().sum() / (change * place.batch.labels).sum()))
    factor = float(np.mean(scales))
    labels = dataset.labels.detach() * factor
    learned = {key: value.detach() - float(np.log(factor)) for key, value in dataset.learned.items()}
    rows = []
    for seed in range(seeds):
        place = Landscape.around(dataset, seed, directions="random")
        start, batch = place.points[INITIAL], Batch(place.batch.inputs, labels)
        end = place.shape.teach(start.unsqueeze(0), labels, learned)[0]
        losses = place.losses(line(start, end, np.linspace(0, 3, 301)), "mse", batch)
        profiled = place.losses(end.unsqueeze(0), "profiled", batch)[0]
        returns = [place.arena.returns(end.unsqueeze(0), TEST_EPISODES, greedy).mean() for greedy in (True, False)]
        rows.append([0.01 * losses.argmin(), losses[100] / losses[0], profiled, *returns])
    names = ("alpha*", "loss taught / initial", "profiled", "return greedy", "return sampled")
    columns = zip(names, np.array(rows).T, strict=True)
    return {"labels x": factor, **{name: estimate(transfer, column[:, None])[0].summary() for name, column in columns}}


def every_set() -> Json:
    """
    For each shipped set of gradient steps, but those of pixels: the loss of the taught over that of the initial
    network, as labels are stored and at the scale that puts the minimum there, for shuffled labels too; means of 5 networks.
    """
    rows: Json = {}
    for name in shipped_sets():
        if "Frameskip" in name or (dataset := SyntheticDataset.load(name)).inner_loop.name != "sgd":
            continue
        found = []
        for seed in range(5):
            place = Landscape.around(dataset, seed, directions="random")
            generator = th.Generator().manual_seed(seed)
            start, batch = place.points[INITIAL].unsqueeze(0), place.batch
            losses = place.losses(th.cat([place.points[TAUGHT].unsqueeze(0), start]), "mse")
            row = [losses[0] / losses[1]]
            for labels in (batch.labels, shuffled(batch, generator).labels):
                ends = th.cat([start, place.shape.teach(start, labels)])
                row.append(loss_left(*place.outputs(ends, batch.inputs), labels))
            found.append(row)
        stored, left, control = np.mean(found, axis=0).tolist()
        rows[name] = {"as stored": stored, "left": left, "left, shuffled labels": control, "k": dataset.n_instances}
        print(name, rows[name], flush=True)
    return rows


def run(dims: list[int], kinds: list[str], seeds: int) -> None:
    """Seeds outermost, so that a run that is cut off has some of everything."""
    done: dict[str, list[LandscapeReport]] = {}
    for seed in range(seeds):
        for n_dims in dims:
            for kind in kinds:
                dataset = dataset_of(n_dims, kind)
                if dataset is None:
                    continue
                start = time.perf_counter()
                parts = done.setdefault(f"{n_dims}-D {kind}", [])
                parts.append(piece(n_dims, kind, dataset, seed))
                results = read(FILE)
                results.setdefault("sets", {})[f"{n_dims}-D {kind}"] = LandscapeReport.joined(parts).summary()
                write(FILE, results)
                print(f"{n_dims}-D {kind}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)


def show() -> None:
    """Print what each row of the table reached, beside its controls."""
    results = read(FILE)
    for row, (figure, less, reached) in TARGETS.items():
        print(f"\n{row}\n| set | seeds | figure | reached | controls | beats them |\n|---|---|---|---|---|---|")
        for name, summary in results.get("sets", {}).items():
            report = LandscapeReport.from_summary(summary)
            if figure not in report.names:
                continue
            value = report.estimate(figure, less=less)
            controls = ", ".join(f"{key} {report.estimate(figure, key).value:.2f}" for key in report.controls(figure))
            verdict = "yes" if reached(value.value) else "no"
            says = {None: "", True: "yes", False: "no: says nothing"}[report.says_something(figure)]
            print(f"| {name} | {len(report.seeds)} | {value} | {verdict} | {controls} | {says} |")
    for key, table in TABLES.items():
        with suppress(KeyError):  # what was not measured yet
            print(f"\n{key}\n{table(results)}")
    print(f"\nseconds of a plane: {results.get('seconds of a plane')}")


def speed() -> Json:
    """
    Seconds of a plane of 21 x 21 points and 16 episodes each, 2-D, one thread, medians of three: wall time, and that of the
    processor, which does not count what other programs take of a busy machine.
    """
    place = Landscape.around("NDCartPole2D-v0", 0, directions="random")
    times = []
    for _ in range(3):
        start = time.perf_counter(), time.process_time()
        place.surface("return", 0, 21, 16)
        times.append([time.perf_counter() - start[0], time.process_time() - start[1]])
    wall, processor = np.median(times, axis=0).tolist()
    return {"wall": wall, "processor": processor}


def pictures() -> None:
    """Draw the pictures of the documentation."""
    from sb3_distill.landscape.pictures import draw_ray, two_by_two

    place = landscape_of(2, "step", 0)
    two_by_two(place, path=PICTURES / "landscape.png")
    draw_ray(place.ray(), path=PICTURES / "landscape_ray.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", nargs="*", type=int, default=[1, 2, 3], choices=list(RL_STEPS))
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--robustness", action="store_true", help="perturbations and updates, instead of planes")
    parser.add_argument("--show", action="store_true", help="only show the tables")
    parser.add_argument("--speed", action="store_true", help="measure only the time of a plane")
    parser.add_argument("--every-set", action="store_true", help="only the loss that steps of all shipped sets leave")
    parser.add_argument("--pictures", action="store_true", help="draw only the pictures")
    options = parser.parse_args()
    one_thread()
    if options.every_set:
        write(FILE, {**read(FILE), "every set": every_set()})
    elif options.speed:
        write(FILE, {**read(FILE), "seconds of a plane": speed()})
    elif options.pictures:
        pictures()
    elif options.robustness:
        for n_dims, kind in itertools.product(options.dims, options.kinds):
            if dataset_of(n_dims, kind) is not None:
                results = read(FILE)
                found = between_seeds(n_dims, kind, options.seeds)
                results.setdefault("between seeds", {})[f"{n_dims}-D {kind}"] = found
                write(FILE, results)
        for n_dims in options.dims:
            for key, measure in (
                ("at alpha* = 1", at_alpha_one), ("robustness", robustness), ("after an update", after_an_update)
            ):  # fmt: skip
                results = read(FILE)
                results.setdefault(key, {})[f"{n_dims}-D"] = measure(n_dims, options.seeds)
                write(FILE, results)
    elif not options.show:
        run(options.dims, options.kinds, options.seeds)
    show()


if __name__ == "__main__":
    main()
