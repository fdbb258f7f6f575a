"""Statistics of SB3's ``VecNormalize``, to and from those that a dataset stores."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias, cast

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecExtractDictObs, VecFrameStack, VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs
from stable_baselines3.common.vec_env.stacked_observations import StackedObservations

from sb3_distill.dataset.normalization import Normalization
from sb3_distill.errors import ArgumentError
from sb3_distill.trees import named_leaves
from sb3_distill.typing import Array, RawObservations, Space

FrameStack: TypeAlias = StackedObservations[Array] | StackedObservations[dict[str, Array]]
"""What SB3's ``VecFrameStack`` stacks with."""

STORED_COUNT = 1e6
"""Number of observations that stored statistics count for: new ones hardly change them."""


def normalizers_in(env: VecEnv) -> list[VecNormalize]:
    """
    :param env: any ``VecEnv``
    :return: every ``VecNormalize`` in it, from the outside in
    """
    return [layer for layer in _layers(env) if isinstance(layer, VecNormalize)]


def normalizer_of(env: VecEnv) -> VecNormalize | None:
    """
    :param env: any ``VecEnv``
    :return: the ``VecNormalize`` that normalises observations, else the outermost one; ``None`` if there is none
    :raises ValueError: if two of them normalise observations
    """
    normalizers = normalizers_in(env)
    observing = [one for one in normalizers if one.norm_obs]
    if len(observing) > 1:
        raise ArgumentError(
            f"{len(observing)} VecNormalize normalise the observations one after the other: leave one, or give all others "
            "norm_obs=False"
        )
    return next(iter([*observing, *normalizers]), None)


def normalization_of(env: VecEnv) -> Normalization | None:
    """
    :param env: any ``VecEnv``
    :return: the statistics that its ``VecNormalize`` has now, for observations as they leave ``env``; ``None`` if it does not
        normalise observations
    :raises ValueError: if two of them do, or a wrapper outside changes the shape of what is normalised
    """
    normalizer = normalizer_of(env)
    if normalizer is None or not normalizer.norm_obs:
        return None
    stacks: list[FrameStack] = []
    extracted: str | None = None
    for layer in _layers(env):
        if layer is normalizer:
            break
        if isinstance(layer, VecFrameStack):
            stacks.append(layer.stacked_obs)
        if isinstance(layer, VecExtractDictObs):
            extracted = layer.key
    statistics, clip, epsilon = statistics_of_keys(normalizer), float(normalizer.clip_obs), float(normalizer.epsilon)
    if (single := statistics.get(None)) is not None:
        normalization = Normalization(_stacked(single.mean, stacks), _stacked(single.var, stacks), clip, epsilon)
    elif extracted is not None:
        if (part := statistics.get(extracted)) is None:
            return None
        normalization = Normalization(_stacked(part.mean, stacks), _stacked(part.var, stacks), clip, epsilon)
    else:
        keyed = {key: rms for key, rms in statistics.items() if key is not None}
        mean = {key: _stacked(rms.mean, stacks, key) for key, rms in keyed.items()}
        var = {key: _stacked(rms.var, stacks, key) for key, rms in keyed.items()}
        normalization = Normalization(mean, var, clip, epsilon)
    _check_shapes(normalization, env.observation_space)
    return normalization


def check_shown(env: VecEnv, shown: VecEnvObs) -> None:
    """
    :param env: a ``VecEnv`` that was reset
    :param shown: the observations that it showed last
    :raises ValueError: if a wrapper outside of its ``VecNormalize`` has changed them: the statistics are of other observations
    """
    normalizer = normalizer_of(env)
    foreign: str | None = None
    for layer in _layers(env):
        if layer is normalizer:
            break
        if isinstance(layer, (VecFrameStack, VecExtractDictObs)):  # not what is normalised, by their nature
            return
        if not type(layer).__module__.startswith(("stable_baselines3.", "sb3_distill.")):
            foreign = type(layer).__name__
    if foreign is None or normalizer is None or not normalizer.norm_obs:
        return
    there = dict(named_leaves(cast("RawObservations", shown)))
    wanted = dict(named_leaves(cast("RawObservations", normalizer.normalize_obs(normalizer.get_original_obs()))))
    same = there.keys() == wanted.keys() and all(np.shape(there[key]) == np.shape(wanted[key]) for key in wanted)
    if not same or not all(np.allclose(there[key], wanted[key], atol=1e-4) for key in wanted):
        raise ArgumentError(f"{foreign} changes observations after they were normalised: put the VecNormalize outside of it")


@contextmanager
def raw_observations(env: VecEnv) -> Iterator[VecEnv]:
    """
    Let ``env`` show what its environments show, and pay what they pay; its statistics rest.

    :param env: any ``VecEnv``; as it was, once the context is left
    """
    normalizers = normalizers_in(env)
    before = [(one.training, one.norm_obs, one.norm_reward) for one in normalizers]
    for one in normalizers:
        one.training = one.norm_obs = one.norm_reward = False
    try:
        yield env
    finally:
        for one, (training, norm_obs, norm_reward) in zip(normalizers, before, strict=True):
            one.training, one.norm_obs, one.norm_reward = training, norm_obs, norm_reward


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
    statistics = statistics_of_keys(env)
    if None not in mean and None not in statistics and set(mean) != set(statistics):
        raise ArgumentError(
            f"the dataset was made with {_words(mean)} normalised, this VecNormalize normalises {_words(statistics)}: give it "
            f"norm_obs_keys={sorted(str(key) for key in mean)}"
        )
    for key, rms in statistics.items():
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
        return spaces.Dict({key: real_space(part) if key in normalized_keys else part for key, part in space.spaces.items()})
    return real_space(space)


def _layers(env: VecEnv) -> Iterator[VecEnv]:
    """A ``VecEnv`` and all that it wraps, from the outside in."""
    yield env
    while isinstance(env, VecEnvWrapper):
        env = env.venv
        yield env


def _check_shapes(normalization: Normalization, space: Space) -> None:
    for key, mean in named_leaves(normalization.mean):
        part = space[key] if isinstance(space, spaces.Dict) and key in space.spaces else space
        if (isinstance(part, spaces.Dict) and key is not None) or part.shape != mean.shape:
            raise ArgumentError(
                f"observations are normalised in shape {mean.shape} and leave the environment as {part.shape}: put the "
                "VecNormalize outside of the wrapper that changes them"
            )


def _words(keys: Iterable[str | None]) -> str:
    return ", ".join(repr(key) for key in sorted(str(key) for key in keys)) or "nothing"


def statistics_of_keys(env: VecNormalize) -> dict[str | None, RunningMeanStd]:
    """
    :param env: a ``VecNormalize`` that normalises observations
    :return: statistics of each key, not copied; the key is ``None`` where observations are arrays
    """
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


def real_space(space: Space) -> spaces.Box:
    """
    :param space: a ``Box``
    :return: the same with real numbers, where it has whole ones
    """
    assert isinstance(space, spaces.Box)  # nothing else is normalised
    return space if np.issubdtype(space.dtype, np.floating) else spaces.Box(-np.inf, np.inf, space.shape, np.float32)
