"""Who gives an architecture up after a part of its budget."""

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

NONE, ASHA, HYPERBAND = "none", "asha", "hyperband"
PRUNERS = (NONE, ASHA, HYPERBAND)
"""Names of pruners."""
FACTOR = 3
"""Each rung has so many times the budget of the one before."""
N_RUNGS = 3
"""Number of rungs: a ninth of the budget, a third, and the whole."""


def rungs(name: str, budget: int) -> list[tuple[int, int | None]]:
    """
    :param name: name of a pruner
    :param budget: whole budget of an evaluator
    :return: rungs, from the lowest up: a number in ninths, which the pruner counts, and a budget; ``None`` is the whole
    """
    if name == NONE:
        return [(1, None)]
    parts = [FACTOR**i for i in range(N_RUNGS)]
    return [(part, max(1, round(budget * part / parts[-1]))) for part in parts[:-1]] + [(parts[-1], None)]


def pruner_of(name: str) -> "BasePruner":
    """
    :param name: name of a pruner
    :return: a pruner of Optuna
    """
    from optuna.exceptions import ExperimentalWarning
    from optuna.pruners import HyperbandPruner, NopPruner, SuccessiveHalvingPruner

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if name == ASHA:
            return SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR)
        if name == HYPERBAND:
            return HyperbandPruner(min_resource=1, max_resource=FACTOR ** (N_RUNGS - 1), reduction_factor=FACTOR)
        return NopPruner()
