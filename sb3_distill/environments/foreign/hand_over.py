"""Whatever a caller calls an environment, as a ``VecEnv``."""

import inspect
import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias, cast

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from stable_baselines3.common.vec_env import VecEnv

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.environments.make import as_vec_env, make_vec_env
from sb3_distill.environments.plugins import is_cheap
from sb3_distill.errors import ArgumentError
from sb3_distill.typing import Env, Kwargs, VectorEnv

EnvSource: TypeAlias = (
    str | os.PathLike[str] | SyntheticDataset | EnvSpec | Env | type[Env] | VecEnv | VectorEnv
    | Callable[[int], VecEnv | VectorEnv] | Callable[[], Env]
)  # fmt: skip
"""An id, an environment, its class, vector environments of SB3 or Gymnasium, or a function: of a number of environments, which
makes a vector environment, or of nothing, which makes one environment."""
WORDS = (
    "an id, an environment, its class, a VecEnv, what gym.make_vec returns, or a function: of a number of environments, which "
    "makes a VecEnv, or of nothing, which makes one environment"
)


class HandedOver(NamedTuple):
    """
    :param env: vector environments
    :param is_ours: whether they were made here, so that they may be closed here
    """

    env: VecEnv
    is_ours: bool


def environments_from(
    source: EnvSource, n_envs: int, seed: int | None = None, env_kwargs: Kwargs | None = None, name: str = "env"
) -> HandedOver:
    """
    :param source: see ``EnvSource``
    :param n_envs: how many environments are made, where ``source`` does not decide it
    :param seed: seed of environments that are made here
    :param env_kwargs: keyword arguments for an id, and for a class that takes them
    :param name: name of the argument, for messages
    :return: the environments, as SB3's algorithms see them
    :raises ValueError: for anything else, or a function that makes something else
    """
    if isinstance(source, (VecEnv, gym.vector.VectorEnv, gym.Env)):
        return HandedOver(as_vec_env(source, monitor_wrapper=True), False)
    if isinstance(source, (str, os.PathLike, SyntheticDataset)):
        return _made(make_vec_env(source, n_envs, seed, env_kwargs=env_kwargs))
    if isinstance(source, EnvSpec):
        return _made(make_vec_env(partial(gym.make, source, **(env_kwargs or {})), n_envs, seed))
    if isinstance(source, type):
        return _made(_of_class(source, n_envs, seed, env_kwargs, name))
    if not callable(source):
        raise ArgumentError(f"`{name}` must be {WORDS}; got {repr(source)[:200]}")
    n_required = _n_required(source)
    if n_required > 1 or _has_required_keyword(source):
        raise ArgumentError(
            f"`{name}` is a function of {n_required} arguments, and must be one of a number of environments, or of nothing: "
            f"put it into a lambda; got {source!r}"
        )
    made: object = source(n_envs) if n_required else source()  # type: ignore[call-arg]
    if not n_required and isinstance(made, gym.Env):
        first, make = [made], cast("Callable[[], Env]", source)
        return _made(make_vec_env(lambda: first.pop() if first else make(), n_envs, seed))
    if not isinstance(made, (VecEnv, gym.vector.VectorEnv)):
        wanted = f"`{name}({n_envs})` must make a VecEnv" if n_required else f"`{name}()` must make an environment"
        advice = ": let it take no argument" if n_required and isinstance(made, gym.Env) else ""
        raise ArgumentError(f"{wanted}, it made {repr(made)[:200]}{advice}")
    return _made(as_vec_env(made))


def may_be_many(source: EnvSource) -> bool:
    """Whether thousands of such environments may be made: an id that is cheap, or a function that is asked for so many."""
    if isinstance(source, str) and not source.endswith(".safetensors"):
        return is_cheap(source)
    return callable(source) and not isinstance(source, type) and _n_required(source) == 1


def _made(env: VecEnv) -> HandedOver:
    return HandedOver(as_vec_env(env), True)


def _of_class(cls: type, n_envs: int, seed: int | None, env_kwargs: Kwargs | None, name: str) -> VecEnv:
    if not issubclass(cls, gym.Env):
        raise ArgumentError(
            f"`{name}` is the class {cls.__name__}, which is no gymnasium.Env: pass an object of it, or {WORDS}"
        )
    if n_required := _n_required(cls):
        raise ArgumentError(
            f"`{name}` is the class {cls.__name__}, which needs {n_required} arguments: pass a function of nothing, "
            f"lambda: {cls.__name__}(...)"
        )
    taken = inspect.signature(cls).parameters
    kwargs = {key: value for key, value in (env_kwargs or {}).items() if key in taken}
    return make_vec_env(cls, n_envs, seed, env_kwargs=kwargs)


def _has_required_keyword(function: Callable[..., object]) -> bool:
    """Whether an argument that is needed can be passed by its name only."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return False
    return any(parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty for parameter in parameters)


def _n_required(function: Callable[..., object]) -> int:
    """Number of arguments without which a function cannot be called; 1 for a function that does not tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return 1
    ways = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return sum(parameter.default is parameter.empty and parameter.kind not in ways for parameter in parameters)
