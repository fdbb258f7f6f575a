"""How taught learners act: normalise, preprocess, outputs, action. Rollouts, evaluations and policies do it here."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.utils import obs_as_tensor

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.dataset.wrapper_records import hint
from sb3_distill.errors import ArgumentError, NotFiniteError
from sb3_distill.learners.population import Learners
from sb3_distill.networks.action_distribution import ActionDistribution, to_env
from sb3_distill.networks.encoder import BoundEncoder
from sb3_distill.networks.precision import Precision
from sb3_distill.outer_loop.combination import Combine, combined
from sb3_distill.spaces.checks import describe
from sb3_distill.trees import length, map_leaves, named_leaves
from sb3_distill.typing import Array, Observations, RawObservations, Shape, Space

SAME_STATES = 64
"""On so many states learners are compared: more would cost as much as the minibatch."""


class LearnerOutputs(NamedTuple):
    """
    What learners make of a batch of observations.

    :param outputs: outputs of their last layers ``(b, n_outputs)``
    :param latent: inputs of their last layers ``(b, h)``, as gSDE needs them, else ``None``
    :param features: outputs of the features extractor ``(b, n)`` that a critic shares, else ``None``
    """

    outputs: th.Tensor
    latent: th.Tensor | None
    features: th.Tensor | None

    @classmethod
    def join(cls, parts: "Sequence[LearnerOutputs]") -> "LearnerOutputs":
        """Several batches as one."""

        def column(values: Sequence[th.Tensor | None]) -> th.Tensor | None:
            present = [value for value in values if value is not None]
            return th.cat(present) if present else None

        return cls(
            th.cat([part.outputs for part in parts]),
            column([part.latent for part in parts]),
            column([part.features for part in parts]),
        )


def normalize(dataset: SyntheticDataset, observations: RawObservations) -> RawObservations:
    """
    :param dataset: holds the statistics of observations
    :param observations: as an environment gives them ``(b, *obs)``
    :return: observations as networks were taught to see them
    """
    normalization = dataset.info.normalization
    return observations if normalization is None else normalization(observations)


def channels_first(observations: RawObservations, space: Space) -> RawObservations:
    """
    :param observations: as an environment gives them ``(*obs)`` or ``(b, *obs)``, images in either order
    :param space: their space, with channels first
    :return: images turned as SB3's ``predict`` turns them
    """

    def turn(image: Array, shape: Shape) -> Array:
        image = np.asarray(image)
        is_last = len(shape) == 3 and image.shape[-3:] != shape and image.shape[-3:] == (*shape[1:], shape[0])
        return np.moveaxis(image, -1, -3) if is_last else image

    if isinstance(space, spaces.Dict):
        assert isinstance(observations, Mapping)
        return {key: turn(observations[key], part.shape or ()) for key, part in space.spaces.items()}
    assert not isinstance(observations, Mapping)
    return turn(observations, space.shape or ())


def _repeated(observations: Observations, m: int) -> Observations:
    """The same observations ``(b, *obs)`` for m learners ``(m * b, *obs)``."""
    return map_leaves(lambda value: value.repeat(m, *[1] * (value.dim() - 1)), observations)


def as_taught(dataset: SyntheticDataset, observation: RawObservations, space: Space) -> RawObservations:
    """
    :param dataset: the dataset that a policy was taught
    :param observation: one raw observation of the environment, or a batch of them, images in either order
    :param space: observation space of the policy
    :return: the same as the policy's class takes them: normalised, where the dataset was made with normalised observations
    :raises ValueError: if the observation has another shape than the dataset was made for
    :raises FloatingPointError: if it has NaN in it
    """
    check_shape(dataset, observation, space)
    for key, values in named_leaves(observation):
        array = np.asarray(values)
        if array.dtype.kind == "f" and np.isnan(array).any():  # SB3's distributions would name logits, an ensemble nothing
            raise NotFiniteError(f"the observation{'' if key is None else f' {key!r}'} has NaN in it")
    if dataset.info.normalization is None:
        return observation
    return normalize(dataset, channels_first(observation, space))


def check_shape(dataset: SyntheticDataset, observation: RawObservations, space: Space) -> None:
    """
    :param dataset: the dataset that a policy was taught
    :param observation: one raw observation, or a batch of them
    :param space: observation space of the policy
    :raises ValueError: if the observation has another shape than the dataset was made for
    """
    advice = hint(dataset.info.wrappers)
    if isinstance(space, spaces.Dict) != isinstance(observation, Mapping):
        kind = "a dict" if isinstance(observation, Mapping) else f"of shape {np.shape(observation)}"
        raise ArgumentError(f"the observation is {kind}, the dataset was made for {describe(space)}; {advice}")
    for key, part in space.spaces.items() if isinstance(space, spaces.Dict) else [(None, space)]:
        if isinstance(observation, Mapping) and key not in observation:
            raise ArgumentError(f"the observation has no {key!r}, the dataset was made for {describe(space)}; {advice}")
        shape = part.shape or ()
        got = np.shape(observation[str(key)] if isinstance(observation, Mapping) else observation)
        if shape and got[-len(shape) :] != shape and got[-3:] != (*shape[1:], shape[0]):
            name = "" if key is None else f" {key!r}"
            raise ArgumentError(f"the observation{name} has shape {got}, the dataset was made for {describe(part)}; {advice}")


class Actor:
    """
    :param dataset: the dataset that the learners were taught
    :param distribution: how actions follow from outputs
    :param normalize_images: whether pixels are scaled to [0, 1]
    :param precision: precision of forward passes on observations; ``None`` for single precision
    :param is_normalized: whether observations come from a ``VecNormalize``, so that only learned weights are to be applied
    :param shares_features: whether a critic shares the features extractor, which is then part of the encoder
    :param combine: how all learners act as one, see ``outer_loop.combination``; ``None``: each by itself
    """

    def __init__(
        self,
        dataset: SyntheticDataset,
        distribution: ActionDistribution,
        normalize_images: bool = True,
        precision: Precision | None = None,
        is_normalized: bool = False,
        shares_features: bool = False,
        combine: Combine | None = None,
    ) -> None:
        self.dataset, self.distribution = dataset, distribution
        self.normalize_images = normalize_images
        self.precision = Precision(None, dataset.labels.device) if precision is None else precision
        self.is_normalized, self.shares_features, self.combine = is_normalized, shares_features, combine

    def preprocess(self, observations: Observations) -> Observations:
        """Observations ``(b, *obs)`` as the first layer of a network takes them, but for learned weights."""
        return self.precision.preprocess(observations, self.dataset.info.observation_space, self.normalize_images)

    def outputs(self, learners: Learners, observations: Observations) -> LearnerOutputs:
        """
        :param learners: taught learners
        :param observations: ``(M * b, *obs)``, those of learner 0 first, not yet preprocessed. Learners that act as one see
            all of them
        """
        if self.combine is None:
            return self._each(learners, observations)
        outputs = self._each(learners, _repeated(observations, learners.n_learners)).outputs
        shares = outputs.view(learners.n_learners, -1, outputs.shape[1])
        return LearnerOutputs(combined(shares, self.dataset.info.action_space, self.combine), None, None)

    def _each(self, learners: Learners, observations: Observations) -> LearnerOutputs:
        """``outputs`` of learners that act each by itself."""
        inputs = self.preprocess(observations)
        if self.is_normalized and self.dataset.log_input_scale is not None:
            assert isinstance(inputs, th.Tensor)
            inputs = inputs * self.dataset.input_scale
        features = None
        with self.precision():
            if self.shares_features:
                assert isinstance(learners.encode, BoundEncoder)
                extract, behind = learners.encode.parts
                inputs = features = extract(inputs)
                learners = Learners(learners.groups, behind, learners.n_learners)
            outputs, latent = learners.outputs(inputs, self.distribution.state_dependent)
        return LearnerOutputs(outputs.float(), None if latent is None else latent.float(), features)

    def on_same_states(self, learners: Learners, observations: Observations) -> th.Tensor:
        """
        :param learners: taught learners
        :param observations: ``(n, *obs)``, not yet preprocessed
        :return: what each learner makes of the same ``SAME_STATES`` of them, evenly chosen ``(M, b, n_outputs)``
        """
        n = length(observations)
        chosen = th.arange(min(n, SAME_STATES)) * n // min(n, SAME_STATES)
        same = _repeated(map_leaves(lambda value: value[chosen], observations), learners.n_learners)
        outputs = self._each(learners, same).outputs
        return outputs.view(learners.n_learners, -1, outputs.shape[1])

    def see(self, learners: Learners, observations: RawObservations) -> LearnerOutputs:
        """
        :param learners: taught learners
        :param observations: as an environment gives them ``(M * b, *obs)``, those of learner 0 first
        """
        if not self.is_normalized:
            observations = normalize(self.dataset, observations)
        return self.outputs(learners, obs_as_tensor(observations, self.dataset.labels.device))  # type: ignore[arg-type]

    def sample(self, seen: LearnerOutputs, noise: th.Tensor | None, masks: Array | None = None) -> Array:
        """
        :param seen: outputs of learners
        :param noise: see ``ActionDistribution.noise``; ``None`` for the most likely actions
        :param masks: see ``ActionDistribution.masked``; ``None`` where all actions are allowed
        :return: actions as a policy gives them ``(b, dimensions)``, or ``(b,)``
        """
        device = self.dataset.labels.device
        noise = None if noise is None else noise.to(device)
        outputs = seen.outputs
        if masks is not None:
            outputs = self.distribution.masked(outputs, th.as_tensor(masks, device=device))
        actions = self.distribution.act(outputs, noise, self.dataset.log_std, seen.latent)
        return np.asarray(actions.cpu().numpy())

    def to_env(self, actions: Array) -> Array:
        """
        :param actions: actions as a policy gives them
        :return: the same as an environment takes them: in the shape of its space, clipped or scaled back
        """
        return to_env(actions, self.dataset.info.action_space, self.distribution.squashes)
