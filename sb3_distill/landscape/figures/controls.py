"""Batches that a distilled one must beat: what a figure is worth shows beside its controls."""

from collections.abc import Mapping

import torch as th

from sb3_distill.landscape.maths.objectives import Batch

SHUFFLED, RANDOM, SCALED, REAL, UNTRAINED, OTHER = (
    "shuffled labels", "random labels", "labels x 10", "real states", "untrained X", "another initialisation"
)  # fmt: skip
FACTOR = 10.0
"""Factor of labels of another scale."""


def shuffled(batch: Batch, generator: th.Generator) -> Batch:
    """
    :param batch: a batch of at least two instances
    :param generator: source of randomness (CPU)
    :return: the same with the labels of other instances
    """
    return Batch(batch.inputs, labels_of_others(batch.labels, generator))


def labels_of_others(labels: th.Tensor, generator: th.Generator) -> th.Tensor:
    """
    :param labels: labels of at least two instances ``(k, n_outputs)``
    :param generator: source of randomness (CPU)
    :return: the same in another order: a cyclic shift of a random one, so that no instance keeps its own
    """
    order = th.randperm(len(labels), generator=generator)
    shifted = th.empty_like(labels)
    shifted[order] = labels[order.roll(1)]
    return shifted


def random_labels(batch: Batch, generator: th.Generator) -> Batch:
    """
    :param batch: a batch
    :param generator: source of randomness (CPU)
    :return: the same with normal labels of the same mean square
    """
    size = batch.labels.square().mean().sqrt()
    return Batch(batch.inputs, th.randn(batch.labels.shape, generator=generator).to(batch.labels) * size)


def control_batches(
    batch: Batch, states: th.Tensor, untrained: th.Tensor, n: int, generator: th.Generator
) -> Mapping[str, list[Batch]]:
    """
    :param batch: the distilled batch
    :param states: observations that the untaught network visits, as the networks see them ``(m, ...)``, m at least k
    :param untrained: observations as a distillation starts with them ``(k, ...)``
    :param n: number of draws of shuffled and random labels
    :param generator: source of randomness (CPU)
    :return: batches by the name of the control
    """
    chosen = th.randperm(len(states), generator=generator)[: len(batch.inputs)]
    return {
        SHUFFLED: [shuffled(batch, generator) for _ in range(n)],
        RANDOM: [random_labels(batch, generator) for _ in range(n)],
        SCALED: [Batch(batch.inputs, batch.labels * FACTOR)],
        REAL: [Batch(states[chosen], batch.labels)],
        UNTRAINED: [Batch(untrained, batch.labels)],
    }
