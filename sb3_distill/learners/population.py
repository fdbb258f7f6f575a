"""Learners: a stacked population of initial or trained actors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch as th

from sb3_distill.networks.stacked import Params, StackedNetwork


class Learners:
    """
    M actors, stacked group by group: the learners of one group have one shape.

    :param groups: per shape, its forward pass and the parameters ``(m, *shape)``; learner 0 is the first of group 0
    :param encoder: first layers that all of them share, from observations ``(b, *preprocessed shape)`` to ``(b, ...)``
    :param n_learners: M, where the encoder is all there is to a learner and no groups are left
    """

    def __init__(
        self,
        groups: Sequence[tuple[StackedNetwork, Params]],
        encoder: Callable[[Any], th.Tensor] | None = None,
        n_learners: int = 0,
    ) -> None:
        self.groups = list(groups)
        self.encoder = encoder
        self._sizes = [next(iter(params.values())).shape[0] for _, params in self.groups]
        self.n_learners = sum(self._sizes) or n_learners

    def __call__(self, observations: Any) -> th.Tensor:
        """
        :param observations: ``(M, b, *preprocessed shape)``, or a dict of such tensors: learner i sees ``[i]``
        :return: outputs ``(M, b, n_outputs)``
        """
        observations = self._encode(observations)
        if not self.groups:
            return observations  # type: ignore[no-any-return]
        if len(self.groups) == 1:
            actor, params = self.groups[0]
            return actor(params, observations)
        parts = [actor(params, part) for (actor, params), part in zip(self.groups, self._split(observations), strict=True)]
        return th.cat(parts)

    def with_latent(self, observations: Any) -> tuple[th.Tensor, th.Tensor]:
        """
        :param observations: as for a call
        :return: outputs ``(M, b, n_outputs)`` and the inputs of the last layers ``(M, b, h)``
        :raises ValueError: if learners of several widths are stacked
        """
        latents, outputs = [], []
        observations = self._encode(observations)
        for (actor, params), part in zip(self.groups, self._split(observations), strict=True):
            latents.append(actor.latent(params, part))
            outputs.append(actor.head(params, latents[-1]))
        if len({latent.shape[-1] for latent in latents}) > 1:
            raise ValueError("gSDE needs learners whose last hidden layers are equally wide: change `learner_distribution`")
        return th.cat(outputs), th.cat(latents)

    def outputs(self, inputs: Any, with_latent: bool = False) -> tuple[th.Tensor, th.Tensor | None]:
        """
        Let each learner see its share of a flat batch.

        :param inputs: preprocessed observations ``(M * b, ...)``, or a dict of such tensors, those of learner 0 first
        :param with_latent: return the inputs of the last layer too, as gSDE needs them
        :return: outputs ``(M * b, n_outputs)`` and the inputs of the last layer ``(M * b, h)`` or ``None``
        """
        split = (self.n_learners, -1)
        if isinstance(inputs, Mapping):
            inputs = {key: value.unflatten(0, split) for key, value in inputs.items()}
        else:
            inputs = inputs.unflatten(0, split)
        if not with_latent:
            return self(inputs).flatten(0, 1), None
        outputs, latent = self.with_latent(inputs)
        return outputs.flatten(0, 1), latent.flatten(0, 1)

    def _encode(self, observations: Any) -> Any:
        if self.encoder is None:
            return observations
        if isinstance(observations, Mapping):
            flat: Any = {key: value.flatten(0, 1) for key, value in observations.items()}
        else:
            flat = observations.flatten(0, 1)
        return self.encoder(flat).unflatten(0, (self.n_learners, -1))

    def _split(self, observations: Any) -> Sequence[Any]:
        if isinstance(observations, Mapping):
            split = {key: value.split(self._sizes) for key, value in observations.items()}
            return [{key: split[key][i] for key in split} for i in range(len(self.groups))]
        return observations.split(self._sizes)  # type: ignore[no-any-return]
