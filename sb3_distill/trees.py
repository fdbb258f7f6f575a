"""Functions of "a thing, or a dict of things", as observations of a ``Dict`` space are."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, cast

import numpy as np
import torch as th

from sb3_distill.typing import Array, Leaf, Observations, RawObservations, Shape, Tree

New = TypeVar("New", th.Tensor, Array, Shape)


def map_leaves(function: Callable[[Leaf], New], tree: Tree[Leaf]) -> New | dict[str, New]:
    """
    :param function: of one leaf
    :param tree: one leaf, or one for each key
    :return: the results in the same shape
    """
    if isinstance(tree, Mapping):
        return {key: function(value) for key, value in tree.items()}
    return function(tree)


def named_leaves(tree: Tree[Leaf]) -> list[tuple[str | None, Leaf]]:
    """Keys and leaves; the key is ``None`` where the tree is one leaf."""
    if isinstance(tree, Mapping):
        return list(tree.items())
    return [(None, tree)]


def leaves(tree: Tree[Leaf]) -> list[Leaf]:
    """All leaves, in the order of the keys."""
    return [leaf for _, leaf in named_leaves(tree)]


def index(tree: Tree[Array], i: int | slice) -> Array | dict[str, Array]:
    """Entry ``i`` of every array, or the entries of a slice."""
    return map_leaves(lambda value: value[i], tree)


def stack(trees: Sequence[Tree[Array]]) -> Array | dict[str, Array]:
    """
    :param trees: at least one, all of the same shape
    :return: their arrays, stacked along a new first axis
    """
    first = trees[0]
    if isinstance(first, Mapping):
        return {key: np.stack([tree[key] for tree in trees]) for key in first}
    return np.stack([tree for tree in trees if not isinstance(tree, Mapping)])


def concatenate(trees: Sequence[Tree[Array]]) -> Array | dict[str, Array]:
    """
    :param trees: at least one, all of the same shape but for the first axis
    :return: their arrays, one after the other along the first axis
    """
    first = trees[0]
    if isinstance(first, Mapping):
        return {key: np.concatenate([tree[key] for tree in trees]) for key in first}
    return np.concatenate(cast("Sequence[Array]", trees))


def repeated(tree: Tree[th.Tensor], n: int) -> Observations:
    """Views ``(n, ...)`` of tensors ``(...)``: the same for n learners."""
    return map_leaves(lambda value: value.expand(n, *value.shape), tree)


def length(tree: Observations | RawObservations) -> int:
    """Size of the first axis, which is the same for all leaves."""
    sizes = [len(leaf) for leaf in tree.values()] if isinstance(tree, Mapping) else [len(tree)]
    return sizes[0]
