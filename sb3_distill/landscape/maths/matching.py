"""Two perceptrons of one shape, the units of one put in the order of the other's."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch as th

from sb3_distill.networks.perceptron_layers import Layer
from sb3_distill.typing import Params

MOST_ROUNDS = 50
"""Rounds over the layers at most; a handful is enough."""


def match_units(
    reference: Mapping[str, th.Tensor], other: Mapping[str, th.Tensor], layers: Sequence[Layer], odd: bool
) -> Params:
    """
    Weight matching (Ainsworth, Hayase & Srinivasa, *Git Re-Basin*, 2023, Algorithm 1): hidden units are permuted, layer by
    layer until nothing changes, such that the weights are as near to the reference as a linear assignment can bring them. The
    network computes what it did. Units of an odd activation may change their sign too, which for a tanh is no change either.

    :param reference: parameters of one perceptron ``(1, *shape)`` by name
    :param other: parameters of another one of the same shape
    :param layers: its layers from the first to the last, see ``StackedNetwork.mlp``
    :param odd: whether every activation is odd
    :return: the other one's parameters, in the order of the reference
    """
    from scipy.optimize import linear_sum_assignment  # takes seconds to import: only where it is used

    target = {name: value[0].double() for name, value in reference.items()}
    params = {name: value[0].double().clone() for name, value in other.items()}
    for _ in range(MOST_ROUNDS):
        changed = False
        for layer, following in pairwise(layers):
            weight, bias, next_weight = layer.weight, layer.bias, following.weight
            likeness = target[weight] @ params[weight].mT + target[next_weight].mT @ params[next_weight]
            likeness += th.outer(target[bias], params[bias])
            score = likeness.abs() if odd else likeness
            order = th.as_tensor(linear_sum_assignment(score.numpy(), maximize=True)[1])
            signs = likeness[th.arange(len(order)), order].sign() if odd else th.ones(len(order)).double()
            signs[signs == 0] = 1
            if np.array_equal(order.numpy(), np.arange(len(order))) and bool((signs == 1).all()):
                continue
            changed = True
            params[weight] = params[weight][order] * signs.unsqueeze(1)
            params[bias] = params[bias][order] * signs
            params[next_weight] = params[next_weight][:, order] * signs
        if not changed:
            break
    return {name: value.to(other[name].dtype).unsqueeze(0) for name, value in params.items()}
