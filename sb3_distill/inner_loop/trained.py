"""What inner learning makes of a population."""

from typing import NamedTuple

import torch as th

from sb3_distill.typing import Params


class Trained(NamedTuple):
    """
    Learners of one shape after inner learning.

    :param params: trained parameters ``(M, *shape)`` by name
    :param n_discarded: number of learners' gradients that a backward pass through ``params`` left out because they were not
        finite, a scalar of type long; zero until the backward pass counts
    """

    params: Params
    n_discarded: th.Tensor


def nothing_discarded(params: Params) -> Trained:
    """
    :param params: trained parameters ``(M, *shape)``, whose backward pass leaves no gradient out
    :return: these parameters with a count that stays zero
    """
    return Trained(params, th.zeros((), dtype=th.long))
