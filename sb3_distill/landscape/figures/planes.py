"""Figures of planes: regret and rank correlation of the distilled loss, and how flat the return is."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sb3_distill.landscape.figures.controls import RANDOM, REAL, SHUFFLED, UNTRAINED
from sb3_distill.landscape.maths.objectives import Batch
from sb3_distill.landscape.maths.planes import Plane
from sb3_distill.landscape.maths.scores import PLATEAU, largest_drop, rank_correlation, regret
from sb3_distill.landscape.names import LOSSES, RL, SMALLEST, TAUGHT
from sb3_distill.landscape.place import Place
from sb3_distill.landscape.report import Figure
from sb3_distill.landscape.result import Surface
from sb3_distill.typing import Array

SET = "set"


def plane_figures(
    landscape: Place, controls: Mapping[str, Sequence[Batch]], size: int, n_episodes: int, n_planes: int, bar: Any
) -> dict[str, Figure]:
    """
    :param landscape: a landscape
    :param controls: batches by the name of the control; none for no controls
    :param size: number of points along each side
    :param n_episodes: number of episodes of each point, with greedy actions
    :param n_planes: number of planes of each kind, see ``figures.compare``
    :param bar: a progress bar, moved on after each plane, or ``None``
    :return: figures of planes that hold the taught network, and of those that do not: of each kind the median over planes
    """
    floor = landscape.floor
    used = {key: controls[key] for key in (SHUFFLED, RANDOM, REAL, UNTRAINED) if key in controls}
    batches = {SET: [landscape.batch], **used}
    figures: dict[str, Figure] = {}
    surfaces: dict[str, list[Surface]] = {}
    for kind, planes in _planes(landscape, n_planes).items():
        surfaces[kind], scores = [], []
        for plane in planes:
            surface = landscape.surface("return", plane, size, n_episodes)
            surfaces[kind].append(surface)
            scores.append(_scores(landscape, surface, batches, floor))
            if bar is not None:
                bar.update()
        for key in scores[0]:
            found = {name: _median_then_mean([one[key][name] for one in scores]) for name in batches}
            figures[f"{key} {kind}"] = Figure(found.pop(SET), found)
    figures["diverged"] = Figure(float(sum(one.n_diverged for part in surfaces.values() for one in part)))
    return {**figures, **_flatness(surfaces, floor)}


def _planes(landscape: Place, n: int) -> dict[str, list[Plane]]:
    """Planes that hold the taught network, and planes around RL's end that do not."""
    if landscape.path is None:
        return {"with": landscape.planes_along("random", n, TAUGHT)}
    path = landscape.planes_along("pca") if len(landscape.path) >= SMALLEST else []
    return {
        "with": [*landscape.planes_along("step-rl"), *landscape.planes_along("random", n, TAUGHT)][:n],
        "without": [*path, *landscape.planes_along("random", n, RL)][:n],
    }


def _scores(
    landscape: Place, surface: Surface, batches: Mapping[str, Sequence[Batch]], floor: float
) -> dict[str, dict[str, list[float]]]:
    """Regret and rank correlation for each loss, by the name of the control, of each of its draws."""
    points = surface.plane.points(len(surface.values))
    scores: dict[str, dict[str, list[float]]] = {}
    for name, draws in batches.items():
        outputs = None
        for i, batch in enumerate(draws):
            if outputs is None or batch.inputs is not draws[i - 1].inputs:  # most draws differ in their labels alone
                outputs = landscape.outputs(points, batch.inputs)
            for loss in landscape.losses_of_the_set:
                values = LOSSES[loss](outputs, batch.labels).cpu().double().numpy().reshape(surface.values.shape)
                one = (regret(surface.values, values, floor), rank_correlation(surface.values, values))
                for key, score in zip((f"regret {loss}", f"rank {loss}"), one, strict=True):
                    scores.setdefault(key, {}).setdefault(name, []).append(score)
    return scores


def _median_then_mean(scores: Sequence[Sequence[float]]) -> float:
    """Of ``(n_planes, n_draws)`` the median over planes, and its mean over draws, without planes where nothing varies."""
    draws = np.array(scores).T
    medians = [np.median(one[np.isfinite(one)]) for one in draws if np.isfinite(one).any()]
    return float(np.mean(medians)) if medians else float("nan")


def _flatness(surfaces: Mapping[str, Sequence[Surface]], floor: float) -> dict[str, Figure]:
    """Random planes around the taught network against those around the RL-trained one."""

    def good(values: Array) -> float:
        return float((values >= PLATEAU * np.nanmax(values)).mean())

    def cliff(values: Array) -> float:
        return largest_drop(values) / max(float(np.nanmax(values)) - floor, 1e-12)

    around = {kind: [one.values for one in part if one.plane.name.startswith("random")] for kind, part in surfaces.items()}
    if not around["with"] or not around.get("without"):
        return {}
    figures = {}
    for name, function in (("good share", good), ("cliff", cliff)):
        taught, trained = (float(np.mean([function(values) for values in around[kind]])) for kind in ("with", "without"))
        figures[name] = Figure(taught - trained, {TAUGHT: taught, RL: trained})
    return figures
