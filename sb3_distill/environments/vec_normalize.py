"""Statistics of SB3's ``VecNormalize``, to and from those that a dataset stores."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecFrameStack, VecNormalize
from stable_baselines3.common.vec_env.stacked_observations import StackedObservations

from sb3_distill.dataset.normalization import Normalization
from sb3_distill.errors import ArgumentError
from sb3_distill.trees import named_leaves
from sb3_distill.typing import Array, Space

FrameStack: TypeAlias = StackedObservations[Array] | StackedObservations[dict[str, Array]]
"""What SB3's ``VecFrameStack`` stacks with."""

STORED_COUNT = 1e6
"""Number of observations that stored statistics count for: new ones hardly change them."""


def normalization_of(env: VecEnv) -> Normalization | None:
    """
    :param env: any ``VecEnv``
    :return: the statistics that its ``VecNormalize`` has now, for observations as they leave ``env``; ``None`` if it does not
        normalise observations
    """
    stacks: list[FrameStack] = []
    while isinstance(env, VecEnvWrapper) and not isinstance(env, VecNormalize):
        if isinstance(env, VecFrameStack):
            stacks.append(env.stacked_obs)
        env = env.venv
    if not (isinstance(env, VecNormalize) and env.norm_obs):
        return None
    statistics = _statistics(env)
    if (single := statistics.get(None)) is not None:
        return Normalization(
            _stacked(single.mean, stacks), _stacked(single.var, stacks), float(env.clip_obs), float(env.epsilon)
        )
    keyed = {key: rms for key, rms in statistics.items() if key is not None}
    mean = {key: _stacked(rms.mean, stacks, key) for key, rms in keyed.items()}
    var = {key: _stacked(rms.var, stacks, key) for key, rms in keyed.items()}
    return Normalization(mean, var, float(env.clip_obs), float(env.epsilon))


def continue_statistics(env: VecNormalize, normalization: Normalization) -> None:
    """
    Let a ``VecNormalize`` that has not seen anything yet go on from stored statistics.

    :param env: changed in place, unless it has seen observations already
    :param normalization: statistics of observations as they enter ``env``
    :raises ValueError: if they are of another shape, or ``env`` does not normalise observations
    """
    if not env.norm_obs:
        raise ArgumentError("the dataset was made with normalised observations: leave out norm_obs=False")
    mean, var = dict(named_leaves(normalization.mean)), dict(named_leaves(normalization.var))
    for key, rms in _statistics(env).items():
        if rms.count >= 1:
            continue
        if key not in mean or rms.mean.shape[:-1] != mean[key].shape[:-1] or mean[key].shape[-1] % rms.mean.shape[-1]:
            raise ArgumentError("the statistics of the dataset are not of the observations that enter this VecNormalize")
        last_frame = (..., slice(mean[key].shape[-1] - rms.mean.shape[-1], None))  # where frames are stacked afterwards
        rms.mean, rms.var, rms.count = mean[key][last_frame].copy(), var[key][last_frame].copy(), STORED_COUNT
        env.clip_obs, env.epsilon = normalization.clip, normalization.epsilon


def return_variance_of(env: VecNormalize | None) -> float | None:
    """The variance by which a ``VecNormalize`` scales rewards now; ``None`` if it does not, or has not seen any."""
    return float(env.ret_rms.var) if env is not None and env.norm_reward and env.ret_rms.count >= 1 else None


def continue_return_variance(env: VecNormalize | None, variance: float | None) -> None:
    """
    Let a ``VecNormalize`` that has not seen any rewards yet scale them by a stored variance.

    :param env: changed in place, unless it has seen rewards already
    :param variance: variance of discounted returns; ``None`` if unknown, then nothing changes
    """
    if env is not None and env.norm_reward and variance is not None and env.ret_rms.count < 1:
        env.ret_rms.var, env.ret_rms.count = np.array(variance), STORED_COUNT


def normalized_space(space: Space, normalizer: VecNormalize | None) -> Space:
    """
    The space of normalised observations. A ``VecNormalize`` does not tell it: its own space keeps whole numbers whole, and a
    buffer of that type would cut normalised values.

    :param space: observation space of the environments
    :param normalizer: their ``VecNormalize``, if any
    """
    if normalizer is None or not normalizer.norm_obs:
        return space
    if isinstance(space, spaces.Dict):
        normalized_keys = normalizer.norm_obs_keys or ()
        return spaces.Dict({key: _real(part) if key in normalized_keys else part for key, part in space.spaces.items()})
    return _real(space)


def _statistics(env: VecNormalize) -> dict[str | None, RunningMeanStd]:
    """Statistics of each key; the key is ``None`` where observations are arrays."""
    rms: object = env.obs_rms  # SB3's type is that of a dict only
    return {None: rms} if isinstance(rms, RunningMeanStd) else dict(env.obs_rms)


def _stacked(statistic: Array, stacks: Sequence[FrameStack], key: str | None = None) -> Array:
    """
    :param statistic: mean or variance of the entries of one frame
    :param stacks: frame stacks around the ``VecNormalize``, from the outside in
    :param key: that of the observation in a ``Dict``
    :return: the same, repeated as the frames are
    """
    statistic = np.array(statistic)
    for stack in reversed(stacks):
        part = stack if key is None else stack.sub_stacked_observations[key]
        statistic = np.concatenate([statistic] * stack.n_stack, axis=part.repeat_axis)
    return statistic


def _real(space: Space) -> spaces.Box:
    assert isinstance(space, spaces.Box)  # VecNormalize takes no other
    return space if np.issubdtype(space.dtype, np.floating) else spaces.Box(-np.inf, np.inf, space.shape, np.float32)
