"""Running statistics of a model that normalises by itself what environments show and pay."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch as th
from gymnasium import spaces
from stable_baselines3.common.running_mean_std import RunningMeanStd

from sb3_distill.dataset.normalization import Normalization
from sb3_distill.environments.vec_normalize import STORED_COUNT
from sb3_distill.trees import length
from sb3_distill.typing import Array, RawObservations, Space

CLIP = 10.0
"""Bound of normalised observations and rewards, that of SB3's ``VecNormalize``."""
EPSILON = 1e-8
"""Added to variances, likewise."""


class Normalizer:
    """
    The arithmetic of SB3's ``VecNormalize`` without a wrapper: observations become ``clip((x - mean) / sqrt(var + epsilon))``,
    rewards are divided by the standard deviation of discounted returns and clipped. Statistics follow in every step, before
    they are used. What is not normalised is returned as it is.

    :param space: observation space, a ``Box``, whose observations are normalised; ``None`` to leave observations
    :param rewards: whether rewards are normalised
    """

    def __init__(self, space: Space | None, rewards: bool) -> None:
        assert space is None or isinstance(space, spaces.Box)
        self.obs_rms = None if space is None else RunningMeanStd(shape=space.shape)
        """Statistics of the observations."""
        self.ret_rms = RunningMeanStd(shape=()) if rewards else None
        """Statistics of the discounted returns."""
        self.returns: npt.NDArray[np.float64] = np.zeros(1)
        """Discounted return of each environment since its episode began ``(n_envs,)``."""
        self.gamma = 0.99
        """Discount factor of the returns, which a model may change at any time."""
        self.clip, self.epsilon = CLIP, EPSILON
        self.is_fixed = False
        """Whether statistics stay as they are."""

    @property
    def is_on(self) -> bool:
        """Whether anything is normalised."""
        return self.obs_rms is not None or self.ret_rms is not None

    def start(self, observations: RawObservations, is_new: bool = True) -> None:
        """
        The environments were reset.

        :param observations: what they show ``(n_envs, *obs)``
        :param is_new: whether a run begins. Where one goes on, the first observations are not counted: if episodes had just
            ended, they were counted before
        """
        if self.ret_rms is not None:
            self.returns = np.zeros(length(observations))
        if is_new:
            self._count(observations)

    def step(self, observations: RawObservations, rewards: Array, dones: Array) -> tuple[RawObservations, Array]:
        """
        Environments were stepped: update the statistics, then normalise.

        :param observations: what they show ``(n_envs, *obs)``
        :param rewards: what they pay ``(n_envs,)``
        :param dones: whether an episode ended ``(n_envs,)``
        :return: both as learners and critic see them
        """
        self._count(observations)
        if self.ret_rms is not None:
            rewards = self._scaled(rewards, dones, self.ret_rms)
        return self(observations), rewards

    def __call__(self, observations: RawObservations) -> RawObservations:
        """
        :param observations: what environments show, ``(n, *obs)`` or ``(*obs)``
        :return: the same as learners see them now
        """
        statistics = self.normalization
        # An infinite number must not be clipped to a finite one: whoever looks at the rollout finds and names it.
        if statistics is None or not np.isfinite(observations).all():  # type: ignore[arg-type]
            return observations
        return statistics(observations)

    @property
    def normalization(self) -> Normalization | None:
        """The statistics of observations as they are now, without learned weights; ``None`` if observations are left."""
        if self.obs_rms is None:
            return None
        return Normalization(np.asarray(self.obs_rms.mean), np.asarray(self.obs_rms.var), self.clip, self.epsilon)

    @property
    def return_variance(self) -> float | None:
        """Variance by which rewards are scaled now; ``None`` if they are left, or none was seen."""
        return float(self.ret_rms.var) if self.ret_rms is not None and self.ret_rms.count >= 1 else None

    def continue_from(self, normalization: Normalization | None, return_variance: float | None) -> None:
        """
        Go on from the statistics of a dataset; those that have seen something already stay.

        :param normalization: statistics of observations; ``None`` if there are none
        :param return_variance: variance of discounted returns; ``None`` if it is unknown
        """
        if normalization is not None and self.obs_rms is not None and self.obs_rms.count < 1:
            self.obs_rms.mean, self.obs_rms.var = np.array(normalization.mean), np.array(normalization.var)
            self.obs_rms.count = STORED_COUNT
            self.clip, self.epsilon = float(normalization.clip), float(normalization.epsilon)
        if return_variance is not None and self.ret_rms is not None and self.ret_rms.count < 1:
            self.ret_rms.var, self.ret_rms.count = np.array(return_variance), STORED_COUNT

    def state_dict(self) -> dict[str, th.Tensor]:
        """Copies of all that a run needs to go on to the last bit, in double precision."""
        state = {"returns": self.returns, "clip": self.clip, "epsilon": self.epsilon}
        for name, rms in self._statistics().items():
            state |= {f"{name}.mean": rms.mean, f"{name}.var": rms.var, f"{name}.count": rms.count}
        return {name: th.from_numpy(np.array(value, dtype=np.float64)) for name, value in state.items()}

    def load_state_dict(self, state: Mapping[str, th.Tensor], strict: bool = True) -> None:
        """
        :param state: what ``state_dict`` returned
        :param strict: as of PyTorch's modules; it makes no difference, since nothing may be missing
        :raises KeyError: if the statistics are of something else
        """
        arrays = {name: value.cpu().numpy().copy() for name, value in state.items()}
        self.returns, self.clip, self.epsilon = arrays["returns"], float(arrays["clip"]), float(arrays["epsilon"])
        for name, rms in self._statistics().items():
            rms.mean, rms.var = arrays[f"{name}.mean"], arrays[f"{name}.var"]
            rms.count = float(arrays[f"{name}.count"])

    def _statistics(self) -> dict[str, RunningMeanStd]:
        both = {"observations": self.obs_rms, "rewards": self.ret_rms}
        return {name: rms for name, rms in both.items() if rms is not None}

    def _count(self, observations: RawObservations) -> None:
        # One bad number would spoil the statistics for ever.
        if self.obs_rms is not None and not self.is_fixed and np.isfinite(observations).all():  # type: ignore[arg-type]
            self.obs_rms.update(observations)  # type: ignore[arg-type]

    def _scaled(self, rewards: Array, dones: Array, rms: RunningMeanStd) -> Array:
        if not np.isfinite(rewards).all():
            return rewards
        self.returns = self.returns * self.gamma + rewards
        if not self.is_fixed:
            rms.update(self.returns)
        self.returns[dones] = 0.0
        scaled: npt.NDArray[np.float32] = np.clip(rewards / np.sqrt(rms.var + self.epsilon), -CLIP, CLIP).astype(np.float32)
        return scaled
