"""Which planes a landscape has."""

from collections.abc import Callable, Mapping

import torch as th

from sb3_distill.errors import ArgumentError
from sb3_distill.landscape.maths.layout import Layout
from sb3_distill.landscape.maths.planes import Plane, eigen_planes, path_planes, plane_through, random_plane
from sb3_distill.landscape.names import INITIAL, RL, SMALLEST, TAUGHT, Directions, check_directions


def planes_along(
    directions: Directions,
    n_planes: int,
    points: Mapping[str, th.Tensor],
    path: th.Tensor | None,
    layout: Layout,
    eigenvectors: Callable[[int], Mapping[str, th.Tensor]],
    seed: int,
    at: str | None = None,
) -> list[Plane]:
    """
    :param directions: how directions are chosen, see ``Landscape.around``
    :param n_planes: number of planes
    :param points: parameters ``(d,)`` by name
    :param path: parameters along the RL training ``(T, d)``; ``None`` without one
    :param layout: where the rows of weights are
    :param eigenvectors: function of a number of eigenvectors to these, by name
    :param seed: seed of random directions
    :param at: name of the network in the centre of random planes; ``None`` for the end of RL, or the taught one without it
    :return: the planes
    :raises ValueError: for unknown directions, fewer than one plane, directions that need RL where there is none, or
        principal components of a trained model, of which only the end is there
    """
    check_directions(directions, n_planes, path is not None)
    if directions == "random":
        at = at or (RL if RL in points else TAUGHT)
        generator = th.Generator()
        generator.manual_seed(seed)
        return [random_plane(f"random {i + 1} at {at}", points[at], layout, generator) for i in range(n_planes)]
    if directions in ("hessian", "fisher"):
        length = float((points[TAUGHT] - points[INITIAL]).norm())
        return eigen_planes(directions, points[TAUGHT], eigenvectors(2 * n_planes)[directions], length)
    assert path is not None
    if directions == "step-rl":
        return [plane_through("step and RL", *(points[name] for name in (INITIAL, TAUGHT, RL)))]
    if len(path) < SMALLEST:
        raise ArgumentError(
            "principal components need the path of a training, and a trained model has only its end: pass timesteps as `rl`"
        )
    return path_planes("RL's path,", path.to(points[RL]), n_planes)
