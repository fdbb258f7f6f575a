"""The wrappers of an environment, made from the records of a dataset file; ``origin`` makes these records."""

import inspect
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

import gymnasium as gym
from stable_baselines3.common import vec_env as sb3
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from sb3_distill.dataset.allowed import ATARI, VEC_WRAPPERS, allowed_wrapper, check_arguments, check_together
from sb3_distill.dataset.file_checks import shortened
from sb3_distill.dataset.wrapper_records import ARGUMENT, ENVIRONMENT, is_single
from sb3_distill.environments.foreign.look import LIST
from sb3_distill.errors import ArgumentError
from sb3_distill.spaces.values import decode
from sb3_distill.typing import Env, Json

WrapperClass: TypeAlias = Callable[..., Env]
VecWrapperClass: TypeAlias = Callable[..., VecEnv]


def check_known(records: Sequence[Json], allow_imports: Collection[str] = ()) -> None:
    """
    :param records: wrappers of environments
    :param allow_imports: modules that the caller trusts, see ``dataset.allowed``
    :raises ValueError: for a wrapper that a file cannot say how to make
    """
    check_sayable(records)
    for record in records:
        if record["entry_point"] == "vec_env":
            _vec_wrapper(record)
        elif record["entry_point"] == "atari":
            check_arguments("AtariVecEnv", record["kwargs"] or {}, ATARI)
        else:
            _wrapper(record, allow_imports)
    if not allow_imports:
        check_together(records)


def check_sayable(records: Sequence[Json], arguments: Json | None = None) -> None:
    """
    :param records: wrappers of environments, and what a file cannot say of them
    :param arguments: arguments of the environment that the caller has
    :raises ValueError: if something is left that neither the file nor the caller says
    """
    for record in records:
        if record["entry_point"] == ENVIRONMENT:
            raise ArgumentError(
                f"the dataset was made in {record['name']}, which a file cannot say: build the environment yourself"
            )
        key = record["name"].partition("=")[0]
        if record["entry_point"] == ARGUMENT and key not in (arguments or {}):
            raise ArgumentError(
                f"the dataset was made with the argument {record['name']} of the environment, which a file cannot hold: "
                f"pass env_kwargs={{{key!r}: ...}}, or build the environment yourself"
            )


def wrapper_class(records: Sequence[Json], allow_imports: Collection[str] = ()) -> Callable[[Env], Env] | None:
    """
    :param records: wrappers of a dataset
    :param allow_imports: modules that the caller trusts, see ``dataset.allowed``
    :return: a function that puts one environment into its wrappers; ``None`` if there are none
    :raises ValueError: for a wrapper that a file cannot say how to make
    """
    check_known([record for record in records if record["entry_point"] not in (ARGUMENT, ENVIRONMENT)], allow_imports)
    inner = [(_wrapper(record, allow_imports), record["kwargs"]) for record in records if is_single(record)]

    def wrap(env: Env) -> Env:
        for cls, kwargs in inner:
            env = cls(env, **{key: _argument(value) for key, value in kwargs.items()})
        return env

    return wrap if inner else None


def wrap_vec_env(env: VecEnv, records: Sequence[Json]) -> VecEnv:
    """
    :param env: a vector environment without these wrappers
    :param records: wrappers of a dataset
    :return: ``env`` in the wrappers of the whole vector environment
    :raises ValueError: for a wrapper that a file cannot say how to make
    """
    for record in records:
        if record["entry_point"] == "vec_env":
            env = _vec_wrapper(record)(env, **record["kwargs"])
    return env


def _argument(value: object) -> object:
    """An argument of a wrapper from a file, where a tuple is a list."""
    if isinstance(value, dict) and LIST in value:
        return decode(value[LIST])
    decoded = decode(value)
    return tuple(decoded) if isinstance(decoded, list) else decoded


def _vec_wrapper(record: Json) -> VecWrapperClass:
    """The class of a wrapper of whole vector environments; SB3's only."""
    _check_arguments_recorded(record)
    attribute = getattr(sb3, record["name"]) if record["name"] in VEC_WRAPPERS else None
    if inspect.isclass(attribute) and issubclass(attribute, VecEnvWrapper):
        check_arguments(record["name"], record["kwargs"], VEC_WRAPPERS[record["name"]])
        return attribute
    raise _not_from_a_file(record["name"], "the vector environment")


def _wrapper(record: Json, allow_imports: Collection[str] = ()) -> WrapperClass:
    """The class of a wrapper of single environments, if ``dataset.allowed`` has it."""
    _check_arguments_recorded(record)
    attribute = allowed_wrapper(record, allow_imports)
    if inspect.isclass(attribute) and issubclass(attribute, gym.Wrapper):
        return attribute
    raise _not_from_a_file(record["name"], record["entry_point"].partition(":")[0])


def _check_arguments_recorded(record: Json) -> None:
    if record["kwargs"] is None:
        raise ArgumentError(
            f"the dataset was made with the wrapper {record['name']}, which does not record its arguments: "
            "build the environment yourself"
        )


def _not_from_a_file(name: str, owner: str) -> ArgumentError:
    trust = "" if owner == "the vector environment" else f", or say that you trust it with allow_imports=[{shortened(owner)}]"
    return ArgumentError(
        f"the dataset was made with the wrapper {name[:100]} of {owner[:100]}, which is not "
        f"made from a file: build the environment yourself{trust}"
    )
