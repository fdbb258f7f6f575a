"""Which wrappers an environment wears, as a dataset file records them, and putting them on again."""

import copy
import importlib
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
from stable_baselines3.common import vec_env as sb3
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from sb3_distill.environments.atari.vec_env import AtariVecEnv
from sb3_distill.environments.worker_vec_env import WorkerVecEnv
from sb3_distill.errors import ArgumentError
from sb3_distill.spaces.serialization import is_json
from sb3_distill.typing import Json

TRUSTED = ("gymnasium.", "stable_baselines3.", "sb3_contrib.", "rl_zoo3.", "shimmy.")
"""Packages whose wrappers are made from a file. A file must not be able to run code of its choice."""
TRANSPARENT = (
    "Monitor", "RecordVideo", "RecordEpisodeStatistics", "HumanRendering", "OrderEnforcing", "PassiveEnvChecker",
    "TimeLimit", "PatchedTimeLimit", "AtariWrapper",
    "VecMonitor", "VecNormalize", "VecTransposeImage", "VecCheckNan", "VecVideoRecorder",
)  # fmt: skip
"""These change nothing that a policy sees, are recorded otherwise, or are the sum of others that are recorded."""
ATTRIBUTES = {
    "NoopResetEnv": {"noop_max": "noop_max"},
    "MaxAndSkipEnv": {"skip": "_skip"},
    "WarpFrame": {"width": "width", "height": "height"},
    "StickyActionEnv": {"action_repeat_probability": "action_repeat_probability"},
    "FireResetEnv": {},
    "EpisodicLifeEnv": {},
    "ClipRewardEnv": {},
}
"""SB3's wrappers do not record their arguments: which attribute holds each."""


def spec_of(env: VecEnv) -> Any:
    """What Gymnasium knows of an environment; ``None`` where a vector environment does not tell."""
    try:
        if isinstance(env.unwrapped, (sb3.SubprocVecEnv, WorkerVecEnv)):
            return _spec_by_name(env.env_method("__str__", indices=[0])[0], env)
        return env.get_attr("spec", [0])[0]
    except (AttributeError, NotImplementedError):
        return None


def _spec_by_name(description: str, env: VecEnv) -> Any:
    """
    The spec of an environment in another process. A spec that cannot be pickled would end that process, so it is asked for
    only where all its parts are known to be harmless; else its wrappers are told by name.

    :param description: nested names, ``<Outer<Inner<id>>>``
    """
    *names, env_id = description.strip("<>").split("<")
    registered = gym.registry.get(env_id)
    if registered is None or not isinstance(registered.entry_point, str):
        return None
    if set(names[:-1]) <= {*TRANSPARENT, *ATTRIBUTES}:
        return env.get_attr("spec", [0])[0]
    wrappers = [name for name in reversed(names[:-1]) if name not in TRANSPARENT]
    spec = copy.copy(registered)
    spec.additional_wrappers = tuple(gym.envs.registration.WrapperSpec(name, "", None) for name in wrappers)
    return spec


def recorded_wrappers(env: VecEnv) -> list[Json]:
    """
    :param env: any ``VecEnv``
    :return: its wrappers from the inside out, those around each environment first: ``name``, ``entry_point`` and ``kwargs``,
        which are ``None`` where a wrapper does not say what it was made with
    """
    records: list[Json] = []
    spec = spec_of(env)
    for wrapper in getattr(spec, "additional_wrappers", ()):
        if wrapper.name in TRANSPARENT:
            continue
        kwargs = wrapper.kwargs
        if wrapper.name in ATTRIBUTES and wrapper.entry_point.startswith("stable_baselines3."):
            kwargs = {key: env.get_attr(attribute, [0])[0] for key, attribute in ATTRIBUTES[wrapper.name].items()}
        if kwargs is not None and not is_json(kwargs):
            kwargs = None
        if wrapper.name in ("NormalizeObservation", "NormalizeReward"):
            kwargs = None
            warnings.warn(f"statistics of {wrapper.name} do not travel in the dataset: use a VecNormalize", stacklevel=3)
        records.append({"name": wrapper.name, "entry_point": wrapper.entry_point, "kwargs": kwargs})
    around: list[Json] = []
    if isinstance(env.unwrapped, AtariVecEnv):
        records.append({"name": "AtariVecEnv", "entry_point": "atari", "kwargs": dict(env.unwrapped.options)})
    while isinstance(env, VecEnvWrapper):
        name = type(env).__name__
        if name not in TRANSPARENT:
            around.append({"name": name, "entry_point": "vec_env", "kwargs": _vec_arguments(env)})
        env = env.venv
    return records + around[::-1]


def check_known(records: Sequence[Json]) -> None:
    """
    :param records: of environments
    :raises ValueError: for a wrapper that a file cannot say how to make
    """
    for record in records:
        if record["entry_point"] != "atari":
            _resolve(record)


def wrapper_class(records: Sequence[Json]) -> Callable[["gym.Env[Any, Any]"], "gym.Env[Any, Any]"] | None:
    """
    :param records: of a dataset
    :return: what puts on the wrappers of each environment, if there are any
    :raises ValueError: for a wrapper that a file cannot say how to make
    """
    inner = [(_resolve(record), record["kwargs"]) for record in records if record["entry_point"] not in ("vec_env", "atari")]

    def wrap(env: "gym.Env[Any, Any]") -> "gym.Env[Any, Any]":
        for cls, kwargs in inner:
            env = cls(env, **{key: tuple(value) if isinstance(value, list) else value for key, value in kwargs.items()})
        return env

    return wrap if inner else None


def wrap_vec_env(env: VecEnv, records: Sequence[Json]) -> VecEnv:
    """
    :param env: without the wrappers
    :param records: of a dataset
    :return: ``env`` in the wrappers of the whole vector environment
    :raises ValueError: for a wrapper that a file cannot say how to make
    """
    for record in records:
        if record["entry_point"] == "vec_env":
            env = _resolve(record)(env, **record["kwargs"])
    return env


def _vec_arguments(env: Any) -> Json | None:
    if isinstance(env, sb3.VecFrameStack):
        stacked: Any = env.stacked_obs
        parts = getattr(stacked, "sub_stacked_observations", None)
        if parts is None:
            return {"n_stack": stacked.n_stack, "channels_order": _channels_order(stacked)}
        return {"n_stack": stacked.n_stack, "channels_order": {key: _channels_order(part) for key, part in parts.items()}}
    if isinstance(env, sb3.VecExtractDictObs):
        return {"key": env.key}
    return None


def _channels_order(stacked: Any) -> str | None:
    return None if stacked.channels_first is None else ("first" if stacked.channels_first else "last")


def _resolve(record: Json) -> Any:
    name, entry_point = record["name"], record["entry_point"]
    if record["kwargs"] is None:
        raise ArgumentError(
            f"the dataset was made with the wrapper {name}, which does not record its arguments: "
            "build the environment yourself"
        )
    if entry_point == "vec_env":
        return getattr(sb3, name)
    module, _, attribute = entry_point.partition(":")
    found = None
    if module.startswith(TRUSTED):
        found = getattr(importlib.import_module(module), attribute, None)
    if not (inspect.isclass(found) and issubclass(found, gym.Wrapper)):
        raise ArgumentError(
            f"the dataset was made with the wrapper {name} of {module}, which is not made from a file: "
            "build the environment yourself"
        )
    return found
