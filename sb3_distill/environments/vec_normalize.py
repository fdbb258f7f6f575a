"""SB3's ``VecNormalize`` and the statistics that a dataset stores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecFrameStack, VecNormalize
from stable_baselines3.common.vec_env.stacked_observations import StackedObservations

from sb3_distill.dataset.normalization import Normalization
from sb3_distill.errors import ArgumentError


def normalization_of(env: VecEnv) -> Normalization | None:
    """
    :param env: any ``VecEnv``
    :return: the statistics that its ``VecNormalize`` has now, for observations as they leave ``env``; ``None`` if it does not
        normalise observations
    """
    stacks: list[StackedObservations[Any]] = []
    while isinstance(env, VecEnvWrapper) and not isinstance(env, VecNormalize):
        if isinstance(env, VecFrameStack):
            stacks.append(env.stacked_obs)
        env = env.venv
    if not (isinstance(env, VecNormalize) and env.norm_obs):
        return None
    rms = env.obs_rms
    if isinstance(rms, dict):
        mean: Any = {key: _stacked(value.mean, stacks, key) for key, value in rms.items()}
        var: Any = {key: _stacked(value.var, stacks, key) for key, value in rms.items()}
    else:
        mean, var = _stacked(rms.mean, stacks), _stacked(rms.var, stacks)
    return Normalization(mean, var, env.clip_obs, env.epsilon)


def continue_statistics(env: VecNormalize, normalization: Normalization) -> None:
    """
    Let a ``VecNormalize`` that has not seen anything yet go on from stored statistics.

    :param env: changed in place, unless it has statistics of its own
    :param normalization: of observations as they enter ``env``
    :raises ValueError: if they are of another shape, or ``env`` does not normalise observations
    """
    if not env.norm_obs:
        raise ArgumentError("the dataset was made with normalised observations: leave out norm_obs=False")
    own: Any = env.obs_rms if isinstance(env.obs_rms, dict) else {None: env.obs_rms}
    mean: Any = normalization.mean if isinstance(normalization.mean, dict) else {None: normalization.mean}
    var: Any = normalization.var if isinstance(normalization.var, dict) else {None: normalization.var}
    for key, rms in own.items():
        if rms.count >= 1:
            continue
        if key not in mean or rms.mean.shape[:-1] != mean[key].shape[:-1] or mean[key].shape[-1] % rms.mean.shape[-1]:
            raise ArgumentError("the statistics of the dataset are not of the observations that enter this VecNormalize")
        last_frame = (..., slice(mean[key].shape[-1] - rms.mean.shape[-1], None))  # where frames are stacked afterwards
        rms.mean, rms.var, rms.count = mean[key][last_frame].copy(), var[key][last_frame].copy(), 1e6
        env.clip_obs, env.epsilon = normalization.clip, normalization.epsilon


def return_variance_of(env: VecNormalize | None) -> float | None:
    """By which a ``VecNormalize`` scales rewards now; ``None`` if it does not, or has not seen any."""
    return float(env.ret_rms.var) if env is not None and env.norm_reward and env.ret_rms.count >= 1 else None


def continue_return_variance(env: VecNormalize | None, variance: float | None) -> None:
    """Let a ``VecNormalize`` that has not seen any rewards yet scale them as before, where that is known."""
    if env is not None and env.norm_reward and variance is not None and env.ret_rms.count < 1:
        env.ret_rms.var, env.ret_rms.count = np.array(variance), 1e6


def _stacked(statistic: Any, stacks: "Sequence[StackedObservations[Any]]", key: str | None = None) -> Any:
    """A mean or variance, repeated as the frames of observations are; ``stacks`` from the outside in."""
    statistic = np.array(statistic)
    for stack in reversed(stacks):
        part = stack if key is None else stack.sub_stacked_observations[key]
        statistic = np.concatenate([statistic] * stack.n_stack, axis=part.repeat_axis)
    return statistic


def normalized_space(space: spaces.Space[Any], normalizer: VecNormalize | None) -> spaces.Space[Any]:
    """
    What a ``VecNormalize`` makes of observations, which its own space does not tell: whole numbers become real ones, which a
    buffer of whole numbers would cut.

    :param space: of the observations
    :param normalizer: that of the environments, if any
    """
    if normalizer is None or not normalizer.norm_obs:
        return space
    if isinstance(space, spaces.Dict):
        return spaces.Dict({
            key: _real(sub) if key in (normalizer.norm_obs_keys or ()) else sub for key, sub in space.spaces.items()
        })  # fmt: skip
    return _real(space)


def _real(space: spaces.Space[Any]) -> spaces.Box:
    assert isinstance(space, spaces.Box)  # VecNormalize takes no other
    return space if np.issubdtype(space.dtype, np.floating) else spaces.Box(-np.inf, np.inf, space.shape, np.float32)
