"""Vector environments: Gymnasium's behind SB3's interface, and the fastest way to make one."""

import contextlib
import importlib
import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env as sb3_make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecFrameStack, VecMonitor, VecNormalize
from stable_baselines3.common.vec_env.stacked_observations import StackedObservations

from sb3_distill import wrappers
from sb3_distill.atari.vec_env import AtariVecEnv, is_atari, is_atari_vector
from sb3_distill.dataset import SyntheticDataset
from sb3_distill.dataset_info import Normalization
from sb3_distill.envpool_vec_env import EnvPoolVecEnv
from sb3_distill.gymnasium_vec_env import GymnasiumVecEnv, registered_name
from sb3_distill.spaces import Json, is_json
from sb3_distill.worker_vec_env import WorkerVecEnv, can_fork, n_cores

NOT_THE_TASK = ("render_mode", "autoreset_mode", "num_envs", "max_episode_steps", "vectorization_mode", "vector_kwargs")
"""Keyword arguments that say how an environment is run, not what it is."""

EXTRAS = {
    "gymnasium.envs.mujoco": ("mujoco", "mujoco"),
    "gymnasium.envs.box2d": ("Box2D", "box2d"),
    "sb3_distill.atari": ("ale_py", "atari"),
}
"""Modules of environments, what they import, and our extra that installs it."""

SIMULATORS = ("gymnasium.envs.mujoco", "gymnasium.envs.box2d", "shimmy.dm_control", "sb3_distill.atari")
"""Modules of environments whose step takes longer than a message to another process."""


def import_plugin(env_id: str) -> None:
    """
    Import the package that registers an environment with Gymnasium, where it is known and installed.

    :param env_id: a Gymnasium id
    :raises ImportError: if the simulator of one of Gymnasium's own environments is not installed
    """
    module, _, _ = env_id.rpartition(":")  # Gymnasium's "module:id"
    if module:
        importlib.import_module(module)
    if env_id.startswith("dm_control/"):
        with contextlib.suppress(ImportError):
            importlib.import_module("shimmy")
    if env_id.startswith("ALE/") or "NoFrameskip-v" in env_id:
        _import_for(env_id, "ale_py", "atari")
    registered = gym.registry.get(registered_name(env_id))
    if registered is None:  # maybe an old one of Atari's ("Pong-v4")
        with contextlib.suppress(ImportError):
            importlib.import_module("ale_py")
    for module, (simulator, extra) in EXTRAS.items():
        if registered is not None and str(registered.entry_point).startswith(module):
            _import_for(env_id, simulator, extra)


def _import_for(env_id: str, module: str, extra: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'{env_id} needs {module}: pip install "sb3-distill[{extra}]" ({error})') from error


def as_vec_env(env: Any, verbose: int = 0, monitor_wrapper: bool = False) -> VecEnv:
    """
    :param env: a Gymnasium environment or vector environment, or a ``VecEnv``
    :param verbose: print what is put around it
    :param monitor_wrapper: put a ``Monitor`` around a single environment
    :return: a ``VecEnv``, with images turned to channels first, as SB3's algorithms see it
    :raises ValueError: for ALE's own vector environment, since no file could say what it shows
    """
    if isinstance(env, VectorEnv):
        if is_atari_vector(env):
            raise ValueError(
                "ALE's vector environment is another task than the id that it bears: use make_vec_env(env_id, n_envs, "
                "vec_env_cls=AtariVecEnv), which records its options"
            )
        env = VecMonitor(GymnasiumVecEnv(env))
    return BaseAlgorithm._wrap_env(env, verbose, monitor_wrapper)


def has_native_vector_env(env_id: str) -> bool:
    """Whether an id is registered with a vector environment of its own that can reset in the same step."""
    if is_atari(env_id):  # ALE's is another task than its single environments: 84x84, clipped rewards
        return False
    creator: Any = gym.spec(registered_name(env_id)).vector_entry_point
    if creator is None:
        return False
    if isinstance(creator, str):
        creator = gym.envs.registration.load_env_creator(creator)
    return "autoreset_mode" in inspect.signature(creator).parameters


def make_native(env_id: str, n_envs: int, env_kwargs: dict[str, Any] | None = None) -> GymnasiumVecEnv:
    """
    :param env_id: of an environment with a native vector environment, see ``has_native_vector_env``
    :param n_envs: number of environments
    :param env_kwargs: keyword arguments of the environment
    :return: the native vector environment behind SB3's interface, without a monitor
    """
    env = gym.make_vec(env_id, num_envs=n_envs, autoreset_mode=AutoresetMode.SAME_STEP, **(env_kwargs or {}))
    return GymnasiumVecEnv(env)


def make_vec_env(
    env_id: "str | Callable[..., gym.Env[Any, Any]] | SyntheticDataset | os.PathLike[str]",
    n_envs: int = 1,
    seed: int | None = None,
    start_index: int = 0,
    monitor_dir: str | None = None,
    wrapper_class: Callable[["gym.Env[Any, Any]"], "gym.Env[Any, Any]"] | None = None,
    env_kwargs: dict[str, Any] | None = None,
    vec_env_cls: type[Any] | None = None,
    vec_env_kwargs: dict[str, Any] | None = None,
    monitor_kwargs: dict[str, Any] | None = None,
    wrapper_kwargs: dict[str, Any] | None = None,
) -> VecEnv:
    """
    SB3's ``make_vec_env`` with the same arguments, and a native vector environment where one exists.

    The native way is taken for an id that is registered with a vector environment of its own, unless an argument asks
    for something that only separate environments have (``wrapper_class``, ``vec_env_cls``, ``monitor_dir``). Several
    simulators (MuJoCo, Box2D, dm_control, the memory of Atari games) are stepped in as many processes as there are cores, see
    ``WorkerVecEnv``; ``vec_env_cls=EnvPoolVecEnv`` takes EnvPool's, ``vec_env_cls=AtariVecEnv`` ALE's, which preprocesses and
    stacks frames. Given a dataset or the path of one, its own environment is made, in the
    wrappers that the file records.

    :return: a monitored ``VecEnv``
    :raises ValueError: if ``n_envs`` is below 1, or a dataset records no environment, or wrappers that a file cannot make
    """
    if n_envs < 1:
        raise ValueError(f"`n_envs` must be at least 1, got {n_envs}")
    if isinstance(env_id, os.PathLike) or (isinstance(env_id, str) and env_id.endswith(".safetensors")):
        env_id = SyntheticDataset.load(env_id)
    info = env_id.info if isinstance(env_id, SyntheticDataset) else None
    if info is not None:
        if info.env_id is None:
            raise ValueError("the dataset does not say for which environment it was made: pass one")
        env_id, env_kwargs = info.env_id, {**info.env_kwargs, **(env_kwargs or {})}
        wrapper_class = wrapper_class or wrappers.wrapper_class(info.wrappers)
        options = wrappers.atari_options(info.wrappers)
        if options is not None and vec_env_cls is None:
            vec_env_cls, vec_env_kwargs = AtariVecEnv, {**options, **(vec_env_kwargs or {})}
    if isinstance(env_id, str):
        import_plugin(env_id)
    per_env = (wrapper_class, vec_env_cls, monitor_dir, vec_env_kwargs, monitor_kwargs, wrapper_kwargs)
    if isinstance(env_id, str) and not any(per_env) and has_native_vector_env(env_id):
        env: VecEnv = VecMonitor(make_native(env_id, n_envs, env_kwargs))
        env.seed(seed)
    elif isinstance(vec_env_cls, type) and issubclass(vec_env_cls, (EnvPoolVecEnv, AtariVecEnv)):
        if wrapper_class or monitor_dir or monitor_kwargs or wrapper_kwargs:
            raise ValueError(
                f"the environments of {vec_env_cls.__name__} are stepped together: they take no wrapper and no monitor of "
                "their own"
            )
        env = VecMonitor(vec_env_cls(str(env_id), n_envs, seed, env_kwargs=env_kwargs, **(vec_env_kwargs or {})))
    else:
        env = sb3_make_vec_env(
            env_id,
            n_envs,
            seed,
            start_index,
            monitor_dir,
            wrapper_class,
            env_kwargs,
            vec_env_cls or fastest_class(env_id, n_envs),
            vec_env_kwargs,
            monitor_kwargs,
            wrapper_kwargs,
        )
    # Images are taught channels first, as SB3's algorithms turn them.
    return env if info is None else as_vec_env(wrappers.wrap_vec_env(env, info.wrappers))


def is_cheap(env_id: str) -> bool:
    """Whether an environment is no simulator, so that thousands of it may be made."""
    import_plugin(env_id)
    return not (is_atari(env_id) or _is_simulator(env_id))


def _is_simulator(env_id: str) -> bool:
    entry_point = gym.spec(registered_name(env_id)).entry_point
    return isinstance(entry_point, str) and entry_point.startswith(SIMULATORS)


def fastest_class(env_id: Any, n_envs: int) -> Any:
    """
    :param env_id: a Gymnasium id, or anything else that ``make_vec_env`` takes
    :param n_envs: number of environments
    :return: the fastest class that steps these environments correctly, one by one; ``None`` for SB3's default
    """
    if not isinstance(env_id, str) or n_envs < 2 or n_cores() < 2 or not can_fork():
        return None
    return WorkerVecEnv if _is_simulator(env_id) else None


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
        raise ValueError("the dataset was made with normalised observations: leave out norm_obs=False")
    own: Any = env.obs_rms if isinstance(env.obs_rms, dict) else {None: env.obs_rms}
    mean: Any = normalization.mean if isinstance(normalization.mean, dict) else {None: normalization.mean}
    var: Any = normalization.var if isinstance(normalization.var, dict) else {None: normalization.var}
    for key, rms in own.items():
        if rms.count >= 1:
            continue
        if key not in mean or rms.mean.shape[:-1] != mean[key].shape[:-1] or mean[key].shape[-1] % rms.mean.shape[-1]:
            raise ValueError("the statistics of the dataset are not of the observations that enter this VecNormalize")
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


def env_origin(env: VecEnv) -> tuple[str | None, Json]:
    """
    :param env: any ``VecEnv``
    :return: the Gymnasium id and the keyword arguments (those that JSON can hold) it was made with, as far as known
    """
    spec = wrappers.spec_of(env)
    if spec is None:
        return None, {}
    registered = gym.registry.get(spec.id)
    defaults = {} if registered is None else registered.kwargs
    kwargs = {
        key: value
        for key, value in spec.kwargs.items()
        if is_json(value) and key not in NOT_THE_TASK and defaults.get(key) != value
    }
    limit = spec.kwargs.get("max_episode_steps", spec.max_episode_steps)
    if limit is not None and (registered is None or limit != registered.max_episode_steps):
        kwargs["max_episode_steps"] = limit
    return spec.id, kwargs
