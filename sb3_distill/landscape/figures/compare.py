"""The numbers of a landscape: what the distilled loss says of the return, beside controls that should say nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch as th
from tqdm.auto import tqdm

from sb3_distill.inner_loop.gradient_steps import GradientSteps
from sb3_distill.landscape.curvature import distilled_rows, fisher_rows
from sb3_distill.landscape.figures.controls import FACTOR, OTHER, RANDOM, REAL, SCALED, SHUFFLED, UNTRAINED, control_batches
from sb3_distill.landscape.figures.planes import plane_figures
from sb3_distill.landscape.maths.curvature import gradient, share_in_span, span
from sb3_distill.landscape.maths.objectives import Batch, loss_left, mse
from sb3_distill.landscape.maths.planes import cosine, line
from sb3_distill.landscape.maths.scores import barrier
from sb3_distill.landscape.names import INITIAL, OTHER_INITIAL, OTHER_TAUGHT, RANDOM_END, RL, TAUGHT, check_size
from sb3_distill.landscape.place import Place
from sb3_distill.landscape.report import Figure, LandscapeReport
from sb3_distill.typing import Json

N_CONTROLS = 20
"""Draws of shuffled and of random labels."""
EARLY = 10
"""Share of RL's path that counts as early training, as its inverse."""
LINE = 11
"""Points of a line between two networks."""


def compare(
    landscape: Place,
    size: int = 21,
    n_episodes: int = 16,
    n_planes: int = 5,
    n_controls: int = N_CONTROLS,
    name: str | None = None,
    bar: "tqdm[Any] | None" = None,
) -> LandscapeReport:
    """
    All figures of ``report.TITLES`` that the landscape has, of one seed.

    :param landscape: a landscape; without RL those figures are left out that need it
    :param size: number of points along each side of the planes
    :param n_episodes: number of episodes of each point
    :param n_planes: number of planes of each kind: those without the taught network are that of RL's path and random ones
        around RL's end, those with it are that of the step and RL and random ones around it
    :param n_controls: draws of shuffled and of random labels; 0 for no controls
    :param name: name of the set; ``None`` for its task
    :param bar: a progress bar, moved on after each plane
    :return: the report of one seed
    :raises ValueError: for a plane size below 3
    """
    check_size(size)
    generator = th.Generator()
    generator.manual_seed(landscape.seed)
    controls = _controls(landscape, n_controls, generator) if n_controls else {}
    figures = {**_ends(landscape), **_gradients(landscape, controls), **_curvature(landscape, controls, generator)}
    figures |= _barriers(landscape, n_episodes, bool(controls))
    figures |= _step(landscape, controls)
    figures |= plane_figures(landscape, controls, size, n_episodes, n_planes, bar)
    protocol: Json = {"size": size, "episodes": n_episodes, "planes": n_planes, "controls": n_controls}
    info = landscape.shape.dataset.info
    return LandscapeReport(name or info.env_id or "dataset", info.inner_loop, [figures], protocol, [landscape.seed])


def _controls(landscape: Place, n: int, generator: th.Generator) -> Mapping[str, Sequence[Batch]]:
    batch, shape = landscape.batch, landscape.shape
    plain = shape.dataset.encode()
    assert isinstance(plain, th.Tensor)
    untrained = th.randn(plain.shape, generator=generator).to(plain)
    with th.no_grad():
        untrained = untrained if shape.encode is None else shape.encode(untrained)
    return control_batches(batch, landscape.experience.inputs, untrained, n, generator)


def _mean(batches: Sequence[Batch], figure: Callable[[Batch], float]) -> float:
    return float(np.mean([figure(batch) for batch in batches]))


def _ends(landscape: Place) -> dict[str, Figure]:
    """Returns of taught and RL-trained network."""
    figures: dict[str, Figure] = {}
    for kind, deterministic in (("greedy", True), ("sampled", False)):
        names = [name for name in (TAUGHT, RL) if name in landscape.points]
        points = th.stack([landscape.points[name] for name in names])
        means = landscape.arena.returns(points, 50, deterministic).mean(axis=1)
        figures |= {f"return {name} {kind}": Figure(float(mean)) for name, mean in zip(names, means, strict=True)}
    return figures


def _gradients(landscape: Place, controls: Mapping[str, Sequence[Batch]]) -> dict[str, Figure]:
    """Cosines of gradients at the start, and of the step with RL's path."""
    start, shape = landscape.points[INITIAL], landscape.shape

    def policy_gradient(seed: int) -> th.Tensor:
        experience = landscape.arena.experience(start, seed=seed) if seed else landscape.experience
        return gradient(lambda vector: landscape.arena.surrogate(vector.unsqueeze(0), experience)[0], start)

    def distilled_gradient(batch: Batch) -> th.Tensor:
        return gradient(lambda vector: mse(shape.outputs(vector.unsqueeze(0), batch.inputs), batch.labels)[0], start)

    one, two = policy_gradient(0), policy_gradient(1)
    found = {key: _mean(batches, lambda b: cosine(distilled_gradient(b), one + two)) for key, batches in controls.items()}
    figures = {
        "gradient cosine": Figure(cosine(distilled_gradient(landscape.batch), one + two), found),
        "gradient ceiling": Figure(cosine(one, two)),
    }
    if landscape.path is not None and len(landscape.path) > 1:
        points = landscape.points
        path = points[RL] - start
        other = cosine(points[OTHER_TAUGHT] - points[OTHER_INITIAL], path)
        away = cosine(points[RANDOM_END] - start, path)
        step = cosine(points[TAUGHT] - start, path)
        figures["path cosine"] = Figure(step, {OTHER: other, "random direction": away} if controls else {})
        early = landscape.path[max(1, len(landscape.path) // EARLY)].to(start) - start
        figures["early cosine"] = Figure(cosine(points[TAUGHT] - start, early))
    return figures


def _curvature(landscape: Place, controls: Mapping[str, Sequence[Batch]], generator: th.Generator) -> dict[str, Figure]:
    """How much of the policy's Fisher information the distilled batch can move."""
    point, shape = landscape.points[TAUGHT], landscape.shape
    rows = fisher_rows(shape, landscape.arena, point, landscape.seed)
    basis = span(distilled_rows(shape, point, landscape.batch.inputs))

    def share(inputs: th.Tensor) -> float:
        return share_in_span(rows, span(distilled_rows(shape, point, inputs)))

    others = {}
    if controls:
        random = th.linalg.qr(th.randn(rows.shape[1], len(basis), generator=generator).double())[0].mT
        others = {"random rows": share_in_span(rows, random)}
        others |= {key: share(controls[key][0].inputs) for key in (REAL, UNTRAINED)}
    return {
        "fisher share": Figure(share_in_span(rows, basis), others),
        "overlap": Figure(landscape.spectrum(min(10, len(basis))).overlap),
    }


def _barriers(landscape: Place, n_episodes: int, with_controls: bool) -> dict[str, Figure]:
    """Lines between networks; all of them are one population."""
    points = landscape.points
    matched = points[OTHER_TAUGHT]
    if landscape.shape.network.mlp is not None:
        matched = landscape.matched(points[TAUGHT], matched)
    ends = {"inits": (points[TAUGHT], matched), "as they are": (points[TAUGHT], points[OTHER_TAUGHT])}
    if RL in points:
        ends["taught"] = (points[TAUGHT], points[RL])
        ends["random end"] = (points[RANDOM_END], points[RL])
        ends[OTHER] = (points[OTHER_TAUGHT], points[RL])
    at = np.linspace(0, 1, LINE)
    population = th.cat([line(*pair, at) for pair in ends.values()])
    floor = landscape.floor
    heights: dict[str, dict[str, float]] = {}
    for kind, deterministic in (("greedy", True), ("sampled", False)):
        means = landscape.arena.returns(population, n_episodes, deterministic).mean(axis=1)
        lines = dict(zip(ends, means.reshape(len(ends), LINE), strict=True))
        best = np.nanmax([one[[0, -1]].max() for one in lines.values()])
        heights[kind] = {key: barrier(values, max(best - floor, 1e-12)) for key, values in lines.items()}
    greedy = heights["greedy"]
    figures = {"barrier inits": Figure(greedy["inits"], {"as they are": greedy["as they are"]})}
    if RL in points:
        for kind, found in heights.items():
            others = {key: found[key] for key in ("random end", OTHER)} if with_controls else {}
            figures[f"barrier {kind}"] = Figure(found["taught"], others)
    return figures


def _step(landscape: Place, controls: Mapping[str, Sequence[Batch]]) -> dict[str, Figure]:
    """The distilled loss along the step, and what of it does not depend on the scale of labels."""
    shape, start, batch = landscape.shape, landscape.points[INITIAL], landscape.batch
    alphas = np.linspace(0, 3, 301)

    def outputs(point: th.Tensor) -> th.Tensor:
        with th.no_grad():
            return shape.outputs(point.unsqueeze(0), batch.inputs)[0]

    def star(end: th.Tensor, labels: th.Tensor) -> float:
        losses = landscape.losses(line(start, end, alphas), "mse", Batch(batch.inputs, labels))
        return float(alphas[int(np.nanargmin(losses))])

    def left(labels: th.Tensor) -> float:
        return loss_left(outputs(start), outputs(shape.teach(start.unsqueeze(0), labels)[0]), labels)

    losses = landscape.losses(th.stack([landscape.points[TAUGHT], start]), "mse")
    scaled = {}
    if controls and isinstance(shape.inner_loop, GradientSteps):
        learned = {key: value.detach() - float(np.log(FACTOR)) for key, value in shape.dataset.learned.items()}
        scaled = {SCALED: star(shape.teach(start.unsqueeze(0), batch.labels * FACTOR, learned)[0], batch.labels * FACTOR)}
    others = {
        key: float(np.mean([left(one.labels) for one in controls[key]])) for key in (SHUFFLED, RANDOM) if key in controls
    }
    return {
        "alpha*": Figure(star(landscape.points[TAUGHT], batch.labels), scaled),
        "loss taught / initial": Figure(float(losses[0] / losses[1])),
        "loss left": Figure(left(batch.labels), others),
    }
