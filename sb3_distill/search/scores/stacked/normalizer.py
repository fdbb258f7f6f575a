"""Observations and rewards of M policies are normalised apart, as an SB3 ``VecNormalize`` of each would do it."""

import numpy as np
from gymnasium import spaces

from sb3_distill.errors import ArgumentError
from sb3_distill.spaces.checks import describe, sees_images
from sb3_distill.typing import Array, RawObservations, Space

CLIP = 10.0
"""Bound of normalised observations and rewards."""
EPSILON = 1e-8
"""Added to variances."""


class RunningMoments:
    """
    Mean and variance of all that was seen, for each of M policies.

    :param m: number of policies
    :param shape: shape of what is seen
    """

    def __init__(self, m: int, shape: tuple[int, ...] = ()) -> None:
        self.mean, self.var, self.count = np.zeros((m, *shape)), np.ones((m, *shape)), 1e-4

    def update(self, batch: Array) -> None:
        """
        :param batch: equally many things for each policy ``(M, n, *shape)``
        """
        n, total = batch.shape[1], self.count + batch.shape[1]
        change = batch.mean(axis=1) - self.mean
        squares = self.var * self.count + batch.var(axis=1) * n + np.square(change) * self.count * n / total
        self.mean, self.var, self.count = self.mean + change * n / total, squares / total, total


class StackedNormalizer:
    """
    Running statistics of M policies, each of its own environments.

    :param m: number of policies
    :param space: space of the observations
    :param n_envs: environments of each policy
    :param gamma: discount of the returns whose deviation scales rewards
    :raises ValueError: for observations that are not an array of real numbers
    """

    def __init__(self, m: int, space: Space, n_envs: int, gamma: float) -> None:
        if not isinstance(space, spaces.Box) or sees_images(space):
            raise ArgumentError(f"`normalize` needs observations that are an array of real numbers, got {describe(space)}")
        self.n_policies, self.gamma = m, gamma
        self.observations, self.returns = RunningMoments(m, space.shape), RunningMoments(m)
        self._running = np.zeros((m, n_envs))

    def __call__(self, observations: RawObservations) -> RawObservations:
        """
        :param observations: raw observations ``(M * b, *obs)``, those of the first policy first
        :return: the same, normalised by the present statistics
        """
        shares = self._shares(np.asarray(observations))
        scaled = (shares - self.observations.mean[:, None]) / np.sqrt(self.observations.var[:, None] + EPSILON)
        normalized: Array = np.clip(scaled, -CLIP, CLIP).astype(np.float32)
        return normalized.reshape(-1, *normalized.shape[2:])

    def one(self, observation: RawObservations, policy: int) -> RawObservations:
        """
        :param observation: one raw observation of a policy ``(*obs)``
        :param policy: number of the policy
        :return: the same, normalised
        """
        scaled = (observation - self.observations.mean[policy]) / np.sqrt(self.observations.var[policy] + EPSILON)
        return np.asarray(np.clip(scaled, -CLIP, CLIP), dtype=np.float32)

    def see(self, observations: RawObservations) -> RawObservations:
        """As a call, with these observations in the statistics."""
        self.observations.update(self._shares(np.asarray(observations)))
        return self(observations)

    def pay(self, rewards: Array, dones: Array) -> Array:
        """
        :param rewards: rewards of a step ``(M * n,)``
        :param dones: whether an episode has ended ``(M * n,)``
        :return: the same over the deviation of discounted returns ``(M * n,)``
        """
        paid = self._shares(rewards)
        self._running = self._running * self.gamma + paid
        self.returns.update(self._running)
        self._running[self._shares(dones).astype(bool)] = 0.0
        return np.clip(paid / np.sqrt(self.returns.var[:, None] + EPSILON), -CLIP, CLIP).reshape(-1)

    def _shares(self, values: Array) -> Array:
        """The same ``(M, n, ...)``."""
        return values.reshape(self.n_policies, -1, *values.shape[1:])
