"""The wrappers of an environment: recording them for a dataset file, and making them from its records."""

import copy
import inspect
import warnings
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias, cast

import gymnasium as gym
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec, WrapperSpec
from stable_baselines3.common import vec_env as sb3
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from sb3_distill.dataset.allowed import ATARI, VEC_WRAPPERS, allowed_wrapper, check_arguments
from sb3_distill.dataset.file_checks import shortened
from sb3_distill.environments.atari.vec_env import AtariVecEnv
from sb3_distill.environments.vec_normalize import FrameStack
from sb3_distill.environments.worker_vec_env import WorkerVecEnv
from sb3_distill.errors import ArgumentError
from sb3_distill.spaces.serialization import is_json
from sb3_distill.typing import Env, Json

WrapperClass: TypeAlias = Callable[..., Env]
VecWrapperClass: TypeAlias = Callable[..., VecEnv]

TRANSPARENT = (
    "Monitor", "RecordVideo", "RecordEpisodeStatistics", "HumanRendering", "OrderEnforcing", "PassiveEnvChecker",
    "TimeLimit", "PatchedTimeLimit", "AtariWrapper",
    "VecMonitor", "VecNormalize", "VecTransposeImage", "VecCheckNan", "VecVideoRecorder",
)  # fmt: skip
"""Wrappers without a record: they change nothing that a policy sees, or are recorded otherwise, or are composites of wrappers
that are recorded one by one."""
ATTRIBUTES = {
    "NoopResetEnv": {"noop_max": "noop_max"},
    "MaxAndSkipEnv": {"skip": "_skip"},
    "WarpFrame": {"width": "width", "height": "height"},
    "StickyActionEnv": {"action_repeat_probability": "action_repeat_probability"},
    "FireResetEnv": {},
    "EpisodicLifeEnv": {},
    "ClipRewardEnv": {},
}
"""SB3's wrappers do not record their arguments. For each: its arguments, and the attributes that hold them."""


def spec_of(env: VecEnv) -> EnvSpec | None:
    """Gymnasium's specification of the first environment; ``None`` where a vector environment does not give it."""
    try:
        if isinstance(env.unwrapped, (sb3.SubprocVecEnv, WorkerVecEnv)):
            return _spec_by_name(env.env_method("__str__", indices=[0])[0], env)
        return _asked_spec(env)
    except (AttributeError, NotImplementedError):
        return None


def _asked_spec(env: VecEnv) -> EnvSpec | None:
    return cast("EnvSpec | None", env.get_attr("spec", [0])[0])


def _spec_by_name(description: str, env: VecEnv) -> EnvSpec | None:
    """
    The spec of an environment in another process. A spec that cannot be pickled would end that process, so the process is
    asked only if all names are of harmless wrappers; else the result has the names of wrappers without their arguments.

    :param description: nested names, ``<Outer<Inner<id>>>``
    """
    *names, env_id = description.strip("<>").split("<")
    registered = gym.registry.get(env_id)
    if registered is None or not isinstance(registered.entry_point, str):
        return None
    if set(names[:-1]) <= {*TRANSPARENT, *ATTRIBUTES}:
        return _asked_spec(env)
    wrappers = [name for name in reversed(names[:-1]) if name not in TRANSPARENT]
    spec = copy.copy(registered)
    spec.additional_wrappers = tuple(WrapperSpec(name, "", None) for name in wrappers)
    return spec


def recorded_wrappers(env: VecEnv) -> list[Json]:
    """
    :param env: any ``VecEnv``
    :return: records of its wrappers from the inside out, those of each environment first; see ``wrapper_records``
    """
    records: list[Json] = []
    spec = spec_of(env)
    for wrapper in () if spec is None else spec.additional_wrappers:
        if wrapper.name not in TRANSPARENT:
            records.append(_record(wrapper, env))
    if isinstance(env.unwrapped, AtariVecEnv):
        records.append({"name": "AtariVecEnv", "entry_point": "atari", "kwargs": dict(env.unwrapped.options)})
    return records + _vec_records(env)


def check_known(records: Sequence[Json], allow_imports: Collection[str] = ()) -> None:
    """
    :param records: wrappers of environments
    :param allow_imports: modules that the caller trusts, see ``dataset.allowed``
    :raises ValueError: for a wrapper that a file cannot say how to make
    """
    for record in records:
        if record["entry_point"] == "vec_env":
            _vec_wrapper(record)
        elif record["entry_point"] == "atari":
            check_arguments("AtariVecEnv", record["kwargs"] or {}, ATARI)
        else:
            _wrapper(record, allow_imports)


def wrapper_class(records: Sequence[Json], allow_imports: Collection[str] = ()) -> Callable[[Env], Env] | None:
    """
    :param records: wrappers of a dataset
    :param allow_imports: modules that the caller trusts, see ``dataset.allowed``
    :return: a function that puts one environment into its wrappers; ``None`` if there are none
    :raises ValueError: for a wrapper that a file cannot say how to make
    """
    check_known(records, allow_imports)
    inner = [
        (_wrapper(record, allow_imports), record["kwargs"])
        for record in records
        if record["entry_point"] not in ("vec_env", "atari")
    ]

    def wrap(env: Env) -> Env:
        for cls, kwargs in inner:
            env = cls(env, **{key: tuple(value) if isinstance(value, list) else value for key, value in kwargs.items()})
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


def _record(wrapper: WrapperSpec, env: VecEnv) -> Json:
    """The record of a wrapper of single environments."""
    kwargs = wrapper.kwargs
    if wrapper.name in ATTRIBUTES and wrapper.entry_point.startswith("stable_baselines3."):
        kwargs = {key: env.get_attr(attribute, [0])[0] for key, attribute in ATTRIBUTES[wrapper.name].items()}
    if kwargs is not None and not is_json(kwargs):
        kwargs = None
    if wrapper.name in ("NormalizeObservation", "NormalizeReward"):
        kwargs = None
        warnings.warn(f"statistics of {wrapper.name} do not travel in the dataset: use a VecNormalize", stacklevel=4)
    return {"name": wrapper.name, "entry_point": wrapper.entry_point, "kwargs": kwargs}


def _vec_records(env: VecEnv) -> list[Json]:
    """Records of the wrappers around the whole vector environment, from the inside out."""
    records: list[Json] = []
    while isinstance(env, VecEnvWrapper):
        name = type(env).__name__
        if name not in TRANSPARENT:
            records.insert(0, {"name": name, "entry_point": "vec_env", "kwargs": _vec_arguments(env)})
        env = env.venv
    return records


def _vec_arguments(env: VecEnvWrapper) -> Json | None:
    if isinstance(env, sb3.VecFrameStack):
        return {"n_stack": env.stacked_obs.n_stack, "channels_order": _channels_order(env.stacked_obs)}
    if isinstance(env, sb3.VecExtractDictObs):
        return {"key": env.key}
    return None


def _channels_order(stack: FrameStack) -> str | Json:
    if isinstance(stack.observation_space, spaces.Dict):
        return {key: _channels_order(part) for key, part in stack.sub_stacked_observations.items()}
    return "first" if stack.channels_first else "last"


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
