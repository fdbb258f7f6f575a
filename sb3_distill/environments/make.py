"""The fastest vector environment behind SB3's interface."""

import contextlib
import inspect
import numbers
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn, TypeAlias

import gymnasium as gym
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env as sb3_make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.recorded_arguments import refused_by_environment
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.dataset.wrapper_records import atari_options
from sb3_distill.environments.atari.vec_env import AtariVecEnv, is_atari_vector
from sb3_distill.environments.envpool_vec_env import EnvPoolVecEnv
from sb3_distill.environments.gymnasium_vec_env import GymnasiumVecEnv
from sb3_distill.environments.plugins import full_id, is_atari, is_simulator, recorded_env_id, registered_name
from sb3_distill.environments.worker_vec_env import WorkerVecEnv, can_fork, n_cores
from sb3_distill.environments.wrappers import check_sayable, wrap_vec_env
from sb3_distill.environments.wrappers import wrapper_class as make_wrapper
from sb3_distill.errors import ArgumentError
from sb3_distill.spaces.checks import check_observation_space
from sb3_distill.typing import Env, Kwargs, Space, VectorEnv

MakeEnv: TypeAlias = Callable[..., Env]
WrapEnv: TypeAlias = Callable[[Env], Env]


def as_vec_env(env: Env | VectorEnv | VecEnv, verbose: int = 0, monitor_wrapper: bool = False) -> VecEnv:
    """
    :param env: a Gymnasium environment or vector environment, or a ``VecEnv``
    :param verbose: whether to print which wrappers are added
    :param monitor_wrapper: whether to put a ``Monitor`` around a single environment
    :return: a ``VecEnv``, with images turned to channels first, as SB3's algorithms see it
    :raises ValueError: for ALE's own vector environment, since no file could say what it shows
    """
    if isinstance(env, gym.vector.VectorEnv):
        if is_atari_vector(env):
            raise ArgumentError(
                "ALE's vector environment is another task than the id that it bears: use make_vec_env(env_id, n_envs, "
                "vec_env_cls=AtariVecEnv), which records its options"
            )
        env = VecMonitor(GymnasiumVecEnv(env))
    return BaseAlgorithm._wrap_env(env, verbose, monitor_wrapper)


def observation_space_of(env: object) -> Space:
    """
    :param env: what an algorithm was given as environment
    :return: the space of one observation
    :raises ValueError: if it is no environment, such as a class or a function that makes one
    """
    if not isinstance(env, (gym.Env, gym.vector.VectorEnv, VecEnv)):
        raise ArgumentError(
            f"`env` must be an id, an environment or vector environments, got {repr(env)[:200]}: make them with "
            "sb3_distill.make_vec_env, which takes a class or a function that makes one"
        )
    space: Space = getattr(env, "single_observation_space", env.observation_space)
    return space


def make_vec_env(
    env_id: "str | MakeEnv | SyntheticDataset | os.PathLike[str]",
    n_envs: int = 1,
    seed: int | None = None,
    start_index: int = 0,
    monitor_dir: str | None = None,
    wrapper_class: WrapEnv | None = None,
    env_kwargs: Kwargs | None = None,
    vec_env_cls: type[VecEnv] | None = None,
    vec_env_kwargs: Kwargs | None = None,
    monitor_kwargs: Kwargs | None = None,
    wrapper_kwargs: Kwargs | None = None,
    allow_imports: Collection[str] = (),
) -> VecEnv:
    """
    SB3's ``make_vec_env`` with the same arguments, and a native vector environment where one exists.

    * A dataset, or the path of one: its own environment, in the wrappers that the file records.
    * An id that is registered with a vector environment of its own: that one, unless an argument asks for something that only
      separate environments have (``wrapper_class``, ``vec_env_cls``, ``monitor_dir``).
    * ``vec_env_cls=EnvPoolVecEnv``: EnvPool's environments; ``vec_env_cls=AtariVecEnv``: ALE's, which preprocesses and stacks
      frames.
    * Several simulators (MuJoCo, Box2D, dm_control, the memory of Atari games): separate environments in as many processes as
      there are cores, see ``WorkerVecEnv``.
    * Anything else: what SB3 makes.

    :param allow_imports: names of modules that may be imported for a dataset, and whose wrappers and environments may be made
        with any arguments. A file names no other module
    :return: a monitored ``VecEnv``
    :raises ValueError: if ``n_envs`` is below 1, or a dataset records no environment, or wrappers that a file cannot make
    """
    if isinstance(n_envs, bool) or not isinstance(n_envs, numbers.Integral):
        raise ArgumentError(f"`n_envs` must be at least 1 and whole, got {n_envs}")
    if n_envs < 1:
        raise ArgumentError(f"`n_envs` must be at least 1, got {n_envs}")
    request = _Request(
        env_id, int(n_envs), None if seed is None else int(seed), int(start_index), monitor_dir, wrapper_class,
        _with_plain_limit(env_kwargs),
        vec_env_cls, vec_env_kwargs, monitor_kwargs, wrapper_kwargs,
    )  # fmt: skip
    dataset = _as_dataset(env_id)
    if dataset is None:
        return _make(request)
    recorded = _with_record(request, dataset.info, allow_imports)
    with refused_by_environment(dataset.info):  # images are taught channels first, as SB3's algorithms turn them
        return as_vec_env(wrap_vec_env(_make(recorded), dataset.info.wrappers))


def _with_plain_limit(env_kwargs: Kwargs | None) -> Kwargs | None:
    """The same, with a time limit that Gymnasium takes: it takes no NumPy number."""
    limit = (env_kwargs or {}).get("max_episode_steps")
    return {**(env_kwargs or {}), "max_episode_steps": int(limit)} if isinstance(limit, numbers.Integral) else env_kwargs


def has_native_vector_env(env_id: str) -> bool:
    """Whether an id is registered with a vector environment of its own that can reset in the same step."""
    if is_atari(env_id):  # ALE's is another task than its single environments: 84x84, clipped rewards
        return False
    entry_point = gym.spec(registered_name(env_id)).vector_entry_point
    if entry_point is None:
        return False
    creator = gym.envs.registration.load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    return "autoreset_mode" in inspect.signature(creator).parameters


def make_native(env_id: str, n_envs: int, env_kwargs: Kwargs | None = None) -> GymnasiumVecEnv:
    """
    :param env_id: an id with a native vector environment, see ``has_native_vector_env``
    :param n_envs: number of environments
    :param env_kwargs: keyword arguments of the environment
    :return: the native vector environment behind SB3's interface, without a monitor
    """
    env = gym.make_vec(env_id, num_envs=n_envs, autoreset_mode=AutoresetMode.SAME_STEP, **(env_kwargs or {}))
    return GymnasiumVecEnv(env)


def fastest_class(env_id: object, n_envs: int) -> type[WorkerVecEnv] | None:
    """
    :param env_id: a Gymnasium id, or anything else that ``make_vec_env`` takes
    :param n_envs: number of environments
    :return: the fastest class that steps these environments correctly, one by one; ``None`` for SB3's default
    """
    if not isinstance(env_id, str) or n_envs < 2 or n_cores() < 2 or not can_fork():
        return None
    return WorkerVecEnv if is_simulator(env_id) else None


@dataclass(frozen=True)
class _Request:
    """The arguments of ``make_vec_env``, by the names that SB3's has."""

    env_id: "str | MakeEnv | SyntheticDataset | os.PathLike[str]"
    n_envs: int
    seed: int | None
    start_index: int
    monitor_dir: str | None
    wrapper_class: WrapEnv | None
    env_kwargs: Kwargs | None
    vec_env_cls: type[VecEnv] | None
    vec_env_kwargs: Kwargs | None
    monitor_kwargs: Kwargs | None
    wrapper_kwargs: Kwargs | None


def _as_dataset(env_id: object) -> SyntheticDataset | None:
    if isinstance(env_id, SyntheticDataset):
        return env_id
    if isinstance(env_id, os.PathLike) or (isinstance(env_id, str) and env_id.endswith(".safetensors")):
        return SyntheticDataset.load(env_id)
    return None


def _with_record(request: _Request, info: DatasetInfo, allow_imports: Collection[str]) -> _Request:
    """A request for the environment that a dataset records; what the caller asks for takes precedence."""
    if info.env_id is None:
        if "n_examples" in info.data:
            raise ArgumentError("the dataset was distilled from data, and has no environment: evaluate_supervised scores it")
        raise ArgumentError("the dataset does not say for which environment it was made: pass one")
    check_sayable(info.wrappers, request.env_kwargs)
    request = replace(
        request,
        env_id=recorded_env_id(info, allow_imports, request.env_kwargs or {}),
        env_kwargs={**info.env_arguments, **(request.env_kwargs or {})},
        wrapper_class=request.wrapper_class or make_wrapper(info.wrappers, allow_imports),
    )
    options = atari_options(info.wrappers)
    if options is None or request.vec_env_cls is not None:
        return request
    return replace(request, vec_env_cls=AtariVecEnv, vec_env_kwargs={**options, **(request.vec_env_kwargs or {})})


def _make(request: _Request) -> VecEnv:
    """The environment of a request that is no dataset: native, stepped together by its class, or separate."""
    env_id, cls = request.env_id, request.vec_env_cls
    if isinstance(env_id, str):
        env_id = full_id(env_id)
        request = replace(request, env_id=env_id)
        if not _asks_for_separate(request) and has_native_vector_env(env_id):
            env = VecMonitor(make_native(env_id, request.n_envs, request.env_kwargs))
            env.seed(request.seed)
            return env
    if isinstance(cls, type) and issubclass(cls, (EnvPoolVecEnv, AtariVecEnv)):
        if request.wrapper_class or request.monitor_dir or request.monitor_kwargs or request.wrapper_kwargs:
            raise ArgumentError(
                f"the environments of {cls.__name__} are stepped together: they take no wrapper and no monitor of their own"
            )
        options = request.vec_env_kwargs or {}
        return VecMonitor(cls(str(env_id), request.n_envs, request.seed, env_kwargs=request.env_kwargs, **options))
    request = replace(request, vec_env_cls=cls or fastest_class(env_id, request.n_envs))
    try:
        return sb3_make_vec_env(**vars(request))
    except (TypeError, AssertionError, AttributeError):  # SB3's words for a space that it does not take name no space
        _check_spaces(request)
        raise


def _check_spaces(request: _Request) -> None:
    """
    :raises ValueError: if an environment shows what no policy of SB3 takes
    """

    def check(functions: Sequence[Callable[[], Env]], **kwargs: object) -> NoReturn:
        env = functions[0]()
        check_observation_space(env.observation_space)
        raise _SpacesAreFine

    with contextlib.suppress(_SpacesAreFine):
        sb3_make_vec_env(**vars(replace(request, n_envs=1, vec_env_cls=check)))  # type: ignore[arg-type]


class _SpacesAreFine(Exception):
    """SB3 takes these spaces."""


def _asks_for_separate(request: _Request) -> bool:
    """Whether an argument asks for something that a native vector environment does not have."""
    has_no_limit = (request.env_kwargs or {}).get("max_episode_steps") == -1  # Gymnasium's word for single environments
    return has_no_limit or any((
        request.wrapper_class, request.vec_env_cls, request.monitor_dir, request.vec_env_kwargs, request.monitor_kwargs,
        request.wrapper_kwargs,
    ))  # fmt: skip
