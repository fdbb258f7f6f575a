"""What was measured on planes and lines."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch as th

from sb3_distill.dataset.facts import HasFacts
from sb3_distill.evaluation.result import Returns
from sb3_distill.landscape.maths.planes import Plane
from sb3_distill.landscape.maths.scores import barrier, plateau, rank_correlation, regret
from sb3_distill.typing import Array, Json

RETURN = "return"
"""The objective that is to be large; all others are losses."""


def _plain(values: Array) -> list[object]:
    """Numbers for JSON, which has no NaN."""
    rows: list[object] = [
        _plain(row) if np.ndim(row) else (float(row) if np.isfinite(row) else None) for row in np.asarray(values)
    ]
    return rows


@dataclass(frozen=True, repr=False)
class Surface(HasFacts):
    """
    An objective on a plane.

    :param plane: the plane
    :param objective: ``"return"``, ``"surrogate"``, ``"mse"`` or ``"profiled"``
    :param values: ``(size, size)``, a row for each coordinate along ``plane.v``; NaN where a point diverged
    :param standard_errors: standard errors of returns ``(size, size)``; ``None`` for losses, which have none
    :param markers: coordinates of the networks that lie on the plane, by name
    """

    plane: Plane
    objective: str
    values: Array = field(repr=False)
    standard_errors: Array | None = field(default=None, repr=False)
    markers: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def n_diverged(self) -> int:
        """Number of points that are not finite, and are left out of all figures."""
        return int((~np.isfinite(self.values)).sum())

    @property
    def best(self) -> tuple[float, float]:
        """Coordinates of the highest return, or of the least loss; of the first one where several are equal."""
        a, b = self.plane.axes(len(self.values))
        better = np.where(np.isfinite(self.values), self.values if self.objective == RETURN else -self.values, -np.inf)
        row, column = np.unravel_index(int(better.argmax()), better.shape)
        return float(a[column]), float(b[row])

    def regret(self, loss: "Surface", floor: float) -> float:
        """
        :param loss: a loss on the same plane
        :param floor: return of the untaught network
        :return: see ``scores.regret``
        """
        return regret(self.values, loss.values, floor)

    def rank_correlation(self, loss: "Surface") -> float:
        """
        :param loss: a loss on the same plane
        :return: Spearman's correlation of the return with minus the loss
        """
        return rank_correlation(self.values, loss.values)

    def summary(self) -> Json:
        """All numbers in JSON form; ``null`` where a point diverged."""
        return {
            "plane": self.plane.name,
            "objective": self.objective,
            "axes": [axis.tolist() for axis in self.plane.axes(len(self.values))],
            "values": _plain(self.values),
            "standard_errors": None if self.standard_errors is None else _plain(self.standard_errors),
            "markers": {name: list(place) for name, place in self.markers.items()},
            "best": list(self.best),
            "n_diverged": self.n_diverged,
        }

    def facts(self) -> dict[str, object]:
        """What is to be known of the surface, by name."""
        low, high = np.nanmin(self.values), np.nanmax(self.values)
        facts: dict[str, object] = {
            "plane": self.plane.name, "objective": self.objective, "range": f"{low:.4g} to {high:.4g}", "best": self.best
        }  # fmt: skip
        return {**facts, "diverged": self.n_diverged} if self.n_diverged else facts


@dataclass(frozen=True, repr=False)
class Ray(HasFacts):
    """
    Return and distilled loss along the step of a learner: 0 is the initial network, 1 the taught one.

    :param alphas: places ``(n,)``
    :param returns: returns of all episodes ``(n, n_episodes)``
    :param losses: losses by name, ``(n,)`` each
    """

    alphas: Array
    returns: Returns = field(repr=False)
    losses: Mapping[str, Array] = field(repr=False)

    @property
    def alpha_star(self) -> float:
        """
        Place of the least distilled loss. For one gradient step this place is whatever one makes of it: labels ``c`` times as
        large and a rate ``c`` times as small teach nearly the same network, and move it. A closed form puts it near 1.
        """
        return float(self.alphas[int(np.nanargmin(self.losses["mse"]))])

    @property
    def plateau(self) -> tuple[float, float]:
        """First and last place with nine tenths of the highest return."""
        return plateau(self.alphas, self.returns.mean(axis=1))

    def summary(self) -> Json:
        """All numbers in JSON form."""
        return {
            "alphas": self.alphas.tolist(),
            "returns": _plain(self.returns.mean(axis=1)),
            "losses": {name: _plain(values) for name, values in self.losses.items()},
            "alpha_star": self.alpha_star,
            "plateau": list(self.plateau),
        }

    def facts(self) -> dict[str, object]:
        """What is to be known of the ray, by name."""
        first, last = self.plateau
        return {"alpha*": round(self.alpha_star, 3), "plateau of the return": f"{first:.3g} to {last:.3g}"}


@dataclass(frozen=True, repr=False)
class Barrier(HasFacts):
    """
    Returns on the straight line between two networks.

    :param start: name of the first network
    :param end: name of the second
    :param returns: returns of all episodes at evenly spaced places ``(n, n_episodes)``
    :param scale: range of returns: the better end less the untaught network
    :param matched: whether the units of the second were matched with those of the first
    """

    start: str
    end: str
    returns: Returns = field(repr=False)
    scale: float
    matched: bool = False

    @property
    def height(self) -> float:
        """How far the return falls below the chord, over the range of returns; 0 for no barrier."""
        return barrier(self.returns.mean(axis=1), self.scale)

    def summary(self) -> Json:
        """All numbers in JSON form."""
        means = _plain(self.returns.mean(axis=1))
        return {"start": self.start, "end": self.end, "matched": self.matched, "height": self.height, "returns": means}

    def facts(self) -> dict[str, object]:
        """What is to be known of the line, by name."""
        ends = f"{self.start} - {self.end}{' (units matched)' if self.matched else ''}"
        return {"line": ends, "barrier": round(self.height, 4)}


@dataclass(frozen=True, repr=False)
class Spectrum(HasFacts):
    """
    Curvature at one network.

    :param at: name of the network
    :param hessian: largest eigenvalues of the Hessian of the distilled loss ``(n,)``
    :param fisher: largest eigenvalues of the policy's Fisher information on states of its own ``(n,)``
    :param share: share of the Fisher trace in the row span of the distilled Jacobian
    :param rank: dimension of that span
    :param overlap: overlap of the top eigenspaces of both, see ``curvature.overlap``
    :param eigenvectors: top eigenvectors by name, ``(n, d)`` each
    """

    at: str
    hessian: Array
    fisher: Array
    share: float
    rank: int
    overlap: float
    eigenvectors: Mapping[str, th.Tensor] = field(repr=False, default_factory=dict)

    def summary(self) -> Json:
        """All numbers in JSON form."""
        return {
            "at": self.at, "hessian": self.hessian.tolist(), "fisher": self.fisher.tolist(),
            "fisher_share": self.share, "rank": self.rank, "overlap": self.overlap,
        }  # fmt: skip

    def facts(self) -> dict[str, object]:
        """What is to be known of the curvature, by name."""
        return {
            "at": self.at, "top of the Hessian": f"{self.hessian[0]:.4g}", "top of Fisher": f"{self.fisher[0]:.4g}",
            "Fisher share": f"{self.share:.3f} in {self.rank} dimensions", "overlap": round(self.overlap, 3),
        }  # fmt: skip
