"""Learners: a stacked population of initial or trained actors."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch as th

from sb3_distill.stacked import Params, StackedNetwork


class Learners:
    """
    M actors, stacked group by group: the learners of one group have one shape.

    :param groups: per shape, its forward pass and the parameters ``(m, *shape)``; learner 0 is the first of group 0
    """

    def __init__(self, groups: Sequence[tuple[StackedNetwork, Params]]) -> None:
        self.groups = list(groups)
        self._sizes = [next(iter(params.values())).shape[0] for _, params in self.groups]
        self.n_learners = sum(self._sizes)

    def __call__(self, observations: Any) -> th.Tensor:
        """
        :param observations: ``(M, b, *preprocessed shape)``, or a dict of such tensors: learner i sees ``[i]``
        :return: outputs ``(M, b, n_outputs)``
        """
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

    def _split(self, observations: Any) -> Sequence[Any]:
        if isinstance(observations, Mapping):
            split = {key: value.split(self._sizes) for key, value in observations.items()}
            return [{key: split[key][i] for key in split} for i in range(len(self.groups))]
        return observations.split(self._sizes)  # type: ignore[no-any-return]
