"""Figures of what was measured along lines and on planes: pure functions of arrays."""

import numpy as np

from sb3_distill.typing import Array

PLATEAU = 0.9
"""Share of the highest return from which a point counts as part of the plateau."""


def barrier(values: Array, scale: float) -> float:
    """
    How far the return falls below the straight line between the ends (Frankle et al., *Linear Mode Connectivity*, 2020).

    :param values: return at evenly spaced points of a line ``(n,)``
    :param scale: range of returns that counts as 1
    :return: largest fall over the scale; 0 where the line never falls
    """
    values = np.asarray(values, dtype=np.float64)
    chord = np.linspace(values[0], values[-1], len(values))
    return float(max(0.0, (chord - values).max()) / scale)


def regret(returns: Array, losses: Array, floor: float) -> float:
    """
    What one loses who trusts the distilled loss: ``(max J - J(argmin L)) / (max J - floor)``. Points without a finite loss or
    return are left out; the mean is taken where several points share the least loss.

    :param returns: ``J`` ``(...)``
    :param losses: ``L`` ``(...)``
    :param floor: return of the untaught network
    :return: 0 for the best point, 1 for no better than untaught; NaN where the plane has nothing better
    """
    keep = np.isfinite(returns) & np.isfinite(losses)
    returns, losses = np.asarray(returns)[keep], np.asarray(losses)[keep]
    if not returns.size or returns.max() <= floor:
        return float("nan")
    chosen = returns[losses == losses.min()].mean()
    return float((returns.max() - chosen) / (returns.max() - floor))


def rank_correlation(returns: Array, losses: Array) -> float:
    """
    Spearman's correlation of the return with minus the loss.

    :param returns: ``(...)``
    :param losses: ``(...)``
    :return: from -1 to 1; NaN where one of them does not vary
    """
    from scipy import stats  # takes seconds to import: only where it is used

    keep = np.isfinite(returns) & np.isfinite(losses)
    returns, losses = np.asarray(returns)[keep], np.asarray(losses)[keep]
    if len(returns) < 2 or np.ptp(returns) == 0 or np.ptp(losses) == 0:
        return float("nan")
    return float(stats.spearmanr(returns, -losses)[0])


def plateau(alphas: Array, returns: Array) -> tuple[float, float]:
    """
    :param alphas: places along a ray ``(n,)``
    :param returns: returns there ``(n,)``
    :return: first and last place with at least ``PLATEAU`` of the highest return
    """
    inside = np.asarray(alphas)[np.asarray(returns) >= PLATEAU * np.nanmax(returns)]
    return float(inside.min()), float(inside.max())


def largest_drop(returns: Array) -> float:
    """
    The cliff of a plane (Sullivan et al., *Cliff Diving*, 2022).

    :param returns: on a grid ``(n, m)``
    :return: largest difference between neighbours
    """
    steps = [np.abs(np.diff(returns, axis=axis)).ravel() for axis in (0, 1)]
    return float(np.nanmax(np.concatenate(steps)))
