"""The fastest vector environment behind SB3's interface."""

import inspect
import os
from collections.abc import Callable
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env as sb3_make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.dataset.wrapper_records import atari_options
from sb3_distill.environments.atari.vec_env import AtariVecEnv, is_atari, is_atari_vector
from sb3_distill.environments.envpool_vec_env import EnvPoolVecEnv
from sb3_distill.environments.gymnasium_vec_env import GymnasiumVecEnv, registered_name
from sb3_distill.environments.plugins import _is_simulator, import_plugin
from sb3_distill.environments.worker_vec_env import WorkerVecEnv, can_fork, n_cores
from sb3_distill.environments.wrappers import wrap_vec_env
from sb3_distill.environments.wrappers import wrapper_class as make_wrapper
from sb3_distill.errors import ArgumentError


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
            raise ArgumentError(
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
        raise ArgumentError(f"`n_envs` must be at least 1, got {n_envs}")
    if isinstance(env_id, os.PathLike) or (isinstance(env_id, str) and env_id.endswith(".safetensors")):
        env_id = SyntheticDataset.load(env_id)
    info = env_id.info if isinstance(env_id, SyntheticDataset) else None
    if info is not None:
        if info.env_id is None:
            raise ArgumentError("the dataset does not say for which environment it was made: pass one")
        env_id, env_kwargs = info.env_id, {**info.env_kwargs, **(env_kwargs or {})}
        wrapper_class = wrapper_class or make_wrapper(info.wrappers)
        options = atari_options(info.wrappers)
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
            raise ArgumentError(
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
    return env if info is None else as_vec_env(wrap_vec_env(env, info.wrappers))


def fastest_class(env_id: Any, n_envs: int) -> Any:
    """
    :param env_id: a Gymnasium id, or anything else that ``make_vec_env`` takes
    :param n_envs: number of environments
    :return: the fastest class that steps these environments correctly, one by one; ``None`` for SB3's default
    """
    if not isinstance(env_id, str) or n_envs < 2 or n_cores() < 2 or not can_fork():
        return None
    return WorkerVecEnv if _is_simulator(env_id) else None
