"""Who proposes architectures."""

import warnings
from typing import TYPE_CHECKING

from sb3_distill.search.space import SearchSpace
from sb3_distill.search.study.candidates import Stream, all_of, at_random

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

RANDOM, BRUTE, TPE, GP = "random", "brute", "tpe", "gp"
SAMPLERS = (TPE, RANDOM, GP, BRUTE)
"""Names of samplers."""
IN_ORDER = (RANDOM, BRUTE)
"""Samplers that learn nothing from scores: their architectures and their order are the same for all workers."""
SEEDS = 2**32
"""Optuna's samplers take seeds below this number."""


def stream_of(name: str, space: SearchSpace, seed: int) -> Stream:
    """
    :param name: name of a sampler
    :param space: a space
    :param seed: seed of the order
    :return: all architectures of the sampler in their order; for a sampler that learns, random ones
    :raises ValueError: if brute force cannot go through the space
    """
    return Stream(all_of(space, seed) if name == BRUTE else at_random(space, seed))


def learning_sampler(name: str, space: SearchSpace, seed: int) -> "BaseSampler":
    """
    :param name: ``"tpe"`` or ``"gp"``
    :param space: a space
    :param seed: seed of the sampler
    :return: a sampler of Optuna
    """
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import GPSampler, TPESampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if name == TPE:  # groups, where a depth says which widths there are
            return TPESampler(seed=seed % SEEDS, multivariate=True, group=space.per_layer, constant_liar=True)
        return GPSampler(seed=seed % SEEDS)
