"""What inner learning makes of a population."""

from collections.abc import Mapping
from typing import NamedTuple

import torch as th

from sb3_distill.networks.perceptron_layers import LowRank
from sb3_distill.typing import Params


class Trained(NamedTuple):
    """
    Learners of one shape after inner learning.

    :param params: trained parameters ``(M, *shape)`` by name
    :param n_discarded: number of learners' gradients that a backward pass through ``params`` left out because they were not
        finite, a scalar of type long; zero until the backward pass counts
    :param low_rank: weights whose change has a low rank, by name, for a shorter way back to what is learned
    """

    params: Params
    n_discarded: th.Tensor
    low_rank: Mapping[str, LowRank] = {}


def nothing_discarded(params: Params, low_rank: Mapping[str, LowRank] | None = None) -> Trained:
    """
    :param params: trained parameters ``(M, *shape)``, whose backward pass leaves no gradient out
    :param low_rank: see ``Trained``
    :return: these parameters with a count that stays zero
    """
    return Trained(params, th.zeros((), dtype=th.long), low_rank or {})
