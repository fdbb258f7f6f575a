"""Learners: a stacked population of initial or trained actors."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch as th
from torch import nn

from sb3_distill.errors import ArgumentError
from sb3_distill.networks.perceptron_layers import LowRank
from sb3_distill.networks.stacked import StackedNetwork
from sb3_distill.trees import leaves, map_leaves
from sb3_distill.typing import Observations, Params

Encode = Callable[[Observations], th.Tensor]
"""From observations ``(b, *preprocessed shape)`` to the inputs of the layers behind an encoder ``(b, ...)``."""


class Group(NamedTuple):
    """
    Learners of one shape.

    :param network: their forward pass
    :param params: their parameters ``(m, *shape)`` by name
    """

    network: StackedNetwork
    params: Params

    @property
    def n_learners(self) -> int:
        """The ``m`` of the parameters' shapes."""
        return next(iter(self.params.values())).shape[0]


class Learners:
    """
    M actors, stacked group by group: the learners of one group have one shape.

    :param groups: one ``Group`` (or pair of its parts) per shape; learner 0 is the first of group 0
    :param encode: function of the first layers, which all learners share; ``None`` for ``encoder_layers`` with their present
        values, until a dataset binds them to its parameters
    :param n_learners: M; needed only when ``groups`` is empty, because the encoder holds all layers
    :param encoder_layers: modules of the first layers, for datasets with an encoder
    :param discarded: a count for each group of the learners' gradients that a backward pass left out because they were not
        finite; see ``inner_loop.Trained``
    :param low_rank: for each group weights whose change has a low rank, by name; see there too
    :param components: the part of the mixture that each learner is drawn from, by index; empty where nobody drew
    """

    def __init__(
        self,
        groups: Sequence[tuple[StackedNetwork, Params]],
        encode: Encode | None = None,
        n_learners: int = 0,
        encoder_layers: nn.Module | None = None,
        discarded: Sequence[th.Tensor] = (),
        low_rank: Sequence[Mapping[str, LowRank]] = (),
        components: Sequence[int] = (),
    ) -> None:
        self.groups = [Group(network, params) for network, params in groups]
        self.discarded, self.components = list(discarded), list(components)
        self.low_rank: Sequence[Mapping[str, LowRank]] = low_rank or [{}] * len(self.groups)
        self.encode = encoder_layers if encode is None else encode
        self.encoder_layers = encoder_layers
        self._sizes = [group.n_learners for group in self.groups]
        self.n_learners = sum(self._sizes) or n_learners

    def one_by_one(self) -> list["Learners"]:
        """Each learner alone, in their order."""
        if not self.groups:
            return [Learners([], self.encode, 1, self.encoder_layers) for _ in range(self.n_learners)]
        return [
            Learners([(group.network, {name: value[i : i + 1] for name, value in group.params.items()})], self.encode, 1)
            for group in self.groups
            for i in range(group.n_learners)
        ]

    def take(self, indices: Sequence[int]) -> "Learners":
        """
        :param indices: indices of learners, in ascending order
        :return: these learners alone, copied
        """
        if not self.groups:
            return Learners([], self.encode, len(indices), self.encoder_layers)
        groups, start = [], 0
        for group in self.groups:
            chosen = [index - start for index in indices if start <= index < start + group.n_learners]
            start += group.n_learners
            if chosen:
                groups.append(Group(group.network, {name: value[chosen] for name, value in group.params.items()}))
        components = [self.components[index] for index in indices] if self.components else []
        return Learners(groups, self.encode, encoder_layers=self.encoder_layers, components=components)

    @property
    def n_discarded(self) -> th.Tensor:
        """How many learners' gradients backward passes left out because they were not finite, a scalar of type long."""
        return th.stack(self.discarded).sum() if self.discarded else th.zeros((), dtype=th.long)

    def __call__(self, observations: Observations) -> th.Tensor:
        """
        :param observations: ``(M, b, *preprocessed shape)``, or a dict of such tensors: learner i sees ``[i]``
        :return: outputs ``(M, b, n_outputs)``
        """
        observations = self._encoded(observations)
        if not self.groups:
            assert isinstance(observations, th.Tensor)
            return observations
        if len(self.groups) == 1:
            group = self.groups[0]
            return group.network(group.params, observations, self.low_rank[0])
        parts = self._split(observations)
        each = zip(self.groups, parts, self.low_rank, strict=True)
        return th.cat([group.network(group.params, part, low_rank) for group, part, low_rank in each])

    def with_latent(self, observations: Observations) -> tuple[th.Tensor, th.Tensor]:
        """
        :param observations: as for a call
        :return: outputs ``(M, b, n_outputs)`` and the inputs of the last layers ``(M, b, h)``
        :raises ValueError: if learners of several widths are stacked
        """
        latents, outputs = [], []
        for group, part in zip(self.groups, self._split(self._encoded(observations)), strict=True):
            latents.append(group.network.latent(group.params, part))
            outputs.append(group.network.head(group.params, latents[-1]))
        if len({latent.shape[-1] for latent in latents}) > 1:
            raise ArgumentError("gSDE needs learners whose last hidden layers are equally wide: change `learner_distribution`")
        return th.cat(outputs), th.cat(latents)

    def outputs(self, inputs: Observations, with_latent: bool = False) -> tuple[th.Tensor, th.Tensor | None]:
        """
        Let each learner see its share of a flat batch.

        :param inputs: preprocessed observations ``(M * b, ...)``, or a dict of such tensors, those of learner 0 first
        :param with_latent: return the inputs of the last layer too, as gSDE needs them
        :return: outputs ``(M * b, n_outputs)`` and the inputs of the last layer ``(M * b, h)`` or ``None``
        """
        shares = map_leaves(lambda value: value.unflatten(0, (self.n_learners, -1)), inputs)
        if not with_latent:
            return self(shares).flatten(0, 1), None
        outputs, latent = self.with_latent(shares)
        return outputs.flatten(0, 1), latent.flatten(0, 1)

    def _encoded(self, observations: Observations) -> Observations:
        if self.encode is None:
            return observations
        flat = map_leaves(lambda value: value.flatten(0, 1), observations)
        encoded: th.Tensor = self.encode(flat).unflatten(0, (self.n_learners, -1))
        return encoded

    def _split(self, observations: Observations) -> Sequence[Observations]:
        """The share of each group."""
        if not isinstance(observations, Mapping):
            shares: Sequence[th.Tensor] = observations.split(self._sizes)
            return shares
        parts = [value.split(self._sizes) for value in leaves(observations)]
        return [dict(zip(observations, part, strict=True)) for part in zip(*parts, strict=True)]
