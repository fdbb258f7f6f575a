"""Planes in the space of parameters: their directions, and the points on them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch as th

from sb3_distill.landscape.maths.layout import Layout
from sb3_distill.typing import Array

MARGIN = 0.2
"""Share of a path's extent that is drawn beyond its ends."""


@dataclass(frozen=True)
class Plane:
    """
    The points ``centre + a u + b v``.

    :param name: name of the plane
    :param centre: ``(d,)``
    :param u: first direction ``(d,)``
    :param v: second direction ``(d,)``
    :param a: lowest and highest coordinate along ``u``
    :param b: lowest and highest coordinate along ``v``
    :param explained: share of the variance of a path that lies in the plane; ``None`` where no path chose it
    """

    name: str
    centre: th.Tensor
    u: th.Tensor
    v: th.Tensor
    a: tuple[float, float] = (-1.0, 1.0)
    b: tuple[float, float] = (-1.0, 1.0)
    explained: float | None = None

    def axes(self, size: int) -> tuple[Array, Array]:
        """
        :param size: number of points along each side
        :return: coordinates along ``u`` and along ``v``, ``(size,)`` each
        """
        return np.linspace(*self.a, size), np.linspace(*self.b, size)

    def points(self, size: int) -> th.Tensor:
        """
        :param size: number of points along each side
        :return: parameters ``(size * size, d)``; point ``i * size + j`` has entry ``j`` of the first axis, ``i`` of the second
        """
        a, b = (th.as_tensor(axis, dtype=self.centre.dtype) for axis in self.axes(size))
        b, a = (grid.reshape(-1, 1) for grid in th.meshgrid(b, a, indexing="ij"))
        return self.centre + a * self.u + b * self.v

    def coordinates(self, points: th.Tensor) -> Array:
        """
        :param points: parameters ``(n, d)``
        :return: coordinates of the nearest points of the plane ``(n, 2)``
        """
        basis = th.stack([self.u, self.v], dim=1).double()
        found: Array = th.linalg.lstsq(basis, (points - self.centre).double().mT).solution.mT.numpy()
        return found

    def distance(self, point: th.Tensor) -> float:
        """
        :param point: parameters ``(d,)``
        :return: distance from the plane over the distance from its centre, 0 for a point of the plane and 1 for one across
        """
        a, b = self.coordinates(point.unsqueeze(0))[0]
        offset = point - self.centre
        rest = offset - float(a) * self.u - float(b) * self.v
        return float(rest.norm() / offset.norm().clamp(min=1e-12))


def random_direction(point: th.Tensor, layout: Layout, generator: th.Generator) -> th.Tensor:
    """
    A filter-normalised direction (Li et al., *Visualizing the Loss Landscape of Neural Nets*, 2018, section 4): every row of
    every weight has the norm of the same row of the point. Biases and parameters of norm layers stay, as in their figures.

    :param point: parameters ``(d,)``
    :param layout: where the rows are
    :param generator: source of randomness (CPU)
    :return: ``(d,)``
    """
    parts = {}
    for name, value in layout.unflatten(point.unsqueeze(0)).items():
        noise = th.randn(value.shape, generator=generator, dtype=value.dtype)
        if value.dim() < 3:
            parts[name] = th.zeros_like(value)
            continue
        sizes = [part.flatten(2).norm(dim=2).view(*value.shape[:2], *[1] * (value.dim() - 2)) for part in (value, noise)]
        parts[name] = noise * sizes[0] / sizes[1]
    return layout.flatten(parts)[0]


def random_plane(name: str, point: th.Tensor, layout: Layout, generator: th.Generator) -> Plane:
    """
    :param name: name of the plane
    :param point: its centre ``(d,)``
    :param layout: where the rows of weights are
    :param generator: source of randomness (CPU)
    :return: a plane of two filter-normalised directions, from -1 to 1 along both
    """
    u, v = (random_direction(point, layout, generator) for _ in range(2))
    return Plane(name, point, u, v)


def plane_through(name: str, centre: th.Tensor, first: th.Tensor, second: th.Tensor) -> Plane:
    """
    :param name: name of the plane
    :param centre: ``(d,)``, the origin
    :param first: ``(d,)``, at coordinates (1, 0)
    :param second: ``(d,)``, whose second coordinate is 1; the directions are perpendicular
    :return: the plane, with all three well inside
    """
    u = first - centre
    along = float((second - centre) @ u / (u @ u))
    v = second - centre - along * u
    return Plane(name, centre, u, v, (min(0.0, along) - 0.5, max(1.0, along) + 0.5), (-0.5, 1.5))


def path_planes(name: str, path: th.Tensor, n_planes: int = 1) -> list[Plane]:
    """
    Planes of the principal components of a path, around its end (Li et al. 2018, section 7.2).

    :param name: name of the planes
    :param path: parameters along the path ``(T, d)``, at least three
    :param n_planes: number of planes: components 1 and 2, 3 and 4, ..., as far as there are
    :return: planes that hold the projection of the path, with a margin. Their scale is that of the path
    """
    centre = path[-1]
    offsets = (path - centre).double()
    values, rows = th.linalg.svd(offsets, full_matrices=False)[1:]
    planes = []
    for i in range(0, min(2 * n_planes, len(values) - 1), 2):
        directions = rows[i : i + 2]
        projected = offsets @ directions.mT
        scale = projected.abs().amax(dim=0).clamp(min=1e-12)
        ends = [(float(column.min() - MARGIN), float(column.max() + MARGIN)) for column in (projected / scale).unbind(dim=1)]
        u, v = (directions * scale.unsqueeze(1)).to(path.dtype)
        explained = float(values[i : i + 2].square().sum() / values.square().sum())
        planes.append(Plane(f"{name} {i + 1}-{i + 2}", centre, u, v, ends[0], ends[1], explained))
    return planes


def eigen_planes(name: str, centre: th.Tensor, vectors: th.Tensor, length: float) -> list[Plane]:
    """
    :param name: name of the planes
    :param centre: ``(d,)``
    :param vectors: unit vectors ``(2 n, d)``, in pairs
    :param length: length of the directions, in units of parameters
    :return: n planes, from -1 to 1 along both directions
    """
    pairs = [(vectors[i : i + 2] * length).to(centre.dtype) for i in range(0, len(vectors) - 1, 2)]
    return [Plane(f"{name} {2 * i + 1}-{2 * i + 2}", centre, u, v) for i, (u, v) in enumerate(pairs)]


def line(start: th.Tensor, end: th.Tensor, at: Array) -> th.Tensor:
    """
    :param start: ``(d,)``, at 0
    :param end: ``(d,)``, at 1
    :param at: places on the line ``(n,)``
    :return: parameters ``(n, d)``
    """
    places = th.as_tensor(np.asarray(at), dtype=start.dtype).unsqueeze(1)
    return start + places * (end - start)


def cosine(one: th.Tensor, other: th.Tensor) -> float:
    """Cosine of the angle of two vectors ``(d,)``; 0 if one of them is zero."""
    return float(th.nn.functional.cosine_similarity(one.double(), other.double(), dim=0))


def markers_on(plane: Plane, points: Mapping[str, th.Tensor]) -> dict[str, tuple[float, float]]:
    """
    :param plane: a plane
    :param points: parameters ``(d,)`` by name
    :return: coordinates of those that lie on the plane (to a thousandth of their distance from its centre)
    """
    inside = {}
    for name, point in points.items():
        a, b = plane.coordinates(point.unsqueeze(0))[0]
        if bool(th.equal(point, plane.centre)) or plane.distance(point) < 1e-3:
            inside[name] = (float(a), float(b))
    return inside
