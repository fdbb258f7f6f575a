"""Several scores as one, and which factors of an architecture a score or the truth follows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.result import Returns
from sb3_distill.search.ranking.correlation import enough, means_of
from sb3_distill.typing import Array, Json


def rank_average(scores: Sequence[Array]) -> Returns:
    """
    Mean rank of each architecture, which weighs all scores alike whatever their units. Ties have the mean of their ranks.

    :param scores: scores of the same architectures, each ``(n_architectures,)`` or ``(n_architectures, n_seeds)``
    :return: a score ``(n_architectures,)`` from 1 to their number; more is better
    :raises ValueError: if there is none, or they differ in the number of architectures
    """
    means = [means_of(score) for score in scores]
    if not means or len({len(mean) for mean in means}) > 1:
        raise ArgumentError(
            f"scores of the same architectures are needed, one at least, got numbers of {[len(mean) for mean in means]}: "
            "choose the rows that all have"
        )
    average: Returns = np.mean([_ranks(mean) for mean in means], axis=0)
    return average


@dataclass(frozen=True)
class Importance:
    """
    Share of the variance of ranks that a factor of the architecture explains.

    :param alone: ``R^2`` of the factor by itself, 0 to 1
    :param beyond: what ``R^2`` of all factors loses without this one: what no other factor says; NaN if the architectures are
        fewer than twice the columns of the linear model
    :param chance: ``alone`` that a factor of as many columns has on average if it is unrelated, ``columns / (n - 1)``
    """

    alone: float
    beyond: float
    chance: float

    def summary(self) -> Json:
        """In JSON form."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}


def factors_of(architecture: Json) -> Json:
    """
    :param architecture: an architecture in JSON form
    :return: its factors, each a number, a word, a truth value or ``None``. A dictionary gives its parts as ``name.part``. A
        list of numbers gives its length as ``name depth``, and as ``name width`` its geometric mean (its mean, if one is not
        positive). Any other list is a word
    """
    factors: Json = {}
    for name, value in architecture.items():
        if isinstance(value, Mapping):
            factors |= {f"{name}.{key}": part for key, part in factors_of(dict(value)).items()}
        elif isinstance(value, (list, tuple)) and all(_is_number(part) for part in value):
            factors[f"{name} depth"] = len(value)
            positive = all(part > 0 for part in value)
            width = math.exp(np.log(value).mean()) if value and positive else np.mean(value or [0.0])
            factors[f"{name} width"] = round(float(width), 9)  # equal widths are one level
        else:
            factors[name] = value if value is None or isinstance(value, (str, int, float)) else str(value)
    return factors


def importance(architectures: Sequence[Json], values: Array) -> dict[str, Importance]:
    """
    Least squares of the ranks on the factors. A number has two columns, itself (its logarithm if all are positive) and the
    square, which finds a best width between small and large ones; a number that takes two values has one. A word has a column
    for each level but one; so has a factor in which some architectures have no number.

    Interactions of factors are not in the model. A factor that varies with another one shares its variance: ``alone`` counts
    the common part for both, ``beyond`` for neither.

    :param architectures: architectures in JSON form, see ``factors_of``
    :param values: truth or score ``(n_architectures,)`` or ``(n_architectures, n_seeds)``
    :return: importance of each factor that varies, the largest ``alone`` first; empty after a warning for fewer than
        ``correlation.FEWEST`` architectures, and empty if all values are equal
    :raises ValueError: if there are not as many values as architectures
    """
    means = means_of(values, "values")
    if len(means) != len(architectures):
        raise ArgumentError(f"a value is needed for each architecture, got {len(means)} for {len(architectures)} of them")
    if not enough(len(means), "the importance of factors") or np.ptp(means) == 0:
        return {}
    ranks = _ranks(means)
    factors = [factors_of(architecture) for architecture in architectures]
    columns = {
        name: _columns([one.get(name) for one in factors]) for name in dict.fromkeys(key for one in factors for key in one)
    }
    columns = {name: design for name, design in columns.items() if design.shape[1]}
    n_columns = sum(design.shape[1] for design in columns.values())
    whole = _explained(list(columns.values()), ranks) if 2 * n_columns <= len(ranks) else math.nan
    found = {}
    for name, design in columns.items():
        others = [other for key, other in columns.items() if key != name]
        beyond = whole if math.isnan(whole) else max(0.0, whole - _explained(others, ranks))
        found[name] = Importance(_explained([design], ranks), beyond, design.shape[1] / (len(ranks) - 1))
    return dict(sorted(found.items(), key=lambda item: -item[1].alone))


def _columns(values: Sequence[object]) -> Array:
    """Columns of a factor ``(n, n_columns)``, none if it does not vary."""
    numbers = [float(value) for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        levels = list(dict.fromkeys(values))
        return np.array([[float(value == level) for level in levels[1:]] for value in values]).reshape(len(values), -1)
    column = np.log(numbers) if min(numbers) > 0 else np.array(numbers)
    if np.ptp(column) == 0:
        return np.empty((len(column), 0))
    column = (column - column.mean()) / column.std()
    return np.stack([column, column**2] if len(np.unique(column)) > 2 else [column], axis=1)


def _explained(designs: Sequence[Array], ranks: Returns) -> float:
    """``R^2`` of the ranks on columns."""
    design = np.concatenate([np.ones((len(ranks), 1)), *designs], axis=1)
    solution = np.linalg.lstsq(design, ranks, rcond=None)[0]
    left = float(np.square(ranks - design @ solution).sum() / np.square(ranks - ranks.mean()).sum())
    return max(0.0, 1.0 - left)


def _ranks(values: Array) -> Returns:
    from scipy import stats  # takes seconds to import: only where it is used

    return np.asarray(stats.rankdata(values), dtype=np.float64)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
