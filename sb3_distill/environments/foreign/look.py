"""What single environments are made of, seen in the process where they live."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorWrapper
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from sb3_distill.environments.gymnasium_vec_env import GymnasiumVecEnv
from sb3_distill.environments.worker_vec_env import WorkerVecEnv
from sb3_distill.errors import ArgumentError
from sb3_distill.spaces.values import encode, same_value
from sb3_distill.typing import Env, Json, VectorEnv

TRUSTED = ("gymnasium.", "stable_baselines3.", "sb3_contrib.", "rl_zoo3.", "shimmy.")
"""Packages whose wrappers are made from a file. A file must not be able to run code of its choice."""
LIMITS = ("TimeLimit", "PatchedTimeLimit")
NOT_THE_TASK = ("render_mode", "max_episode_steps")
"""Keyword arguments that say how an environment is run, not what it is."""
NOT_THE_TASK_OF_VECTORS = (*NOT_THE_TASK, "autoreset_mode", "num_envs", "vectorization_mode", "vector_kwargs", "wrappers")
"""The same for a vector environment that ``gym.make_vec`` has made."""
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
LIST = "__list__"
"""Lists in the arguments of wrappers: a plain list of a file is a tuple."""


@dataclass(frozen=True)
class Layer:
    """
    A wrapper.

    :param name: name of its class
    :param entry_point: module and name of its class
    :param kwargs: its arguments as JSON; ``None`` where they are not recorded, or JSON cannot hold them
    """

    name: str
    entry_point: str
    kwargs: Json | None

    @property
    def is_trusted(self) -> bool:
        """Whether it is of one of the packages in ``TRUSTED``, and not only called so."""
        return self.entry_point.startswith(TRUSTED)

    @property
    def limit(self) -> int | None:
        """Longest episode, for a time limit."""
        is_limit = self.name in LIMITS and self.is_trusted and self.kwargs is not None
        return int(self.kwargs["max_episode_steps"]) if is_limit and self.kwargs else None

    def to_json(self) -> Json:
        """The record in a file."""
        return {"name": self.name, "entry_point": self.entry_point, "kwargs": self.kwargs}


@dataclass(frozen=True)
class Seen:
    """
    One environment.

    :param env_id: Gymnasium id; ``None`` without one
    :param arguments: those keyword arguments, as JSON, that are not the defaults of the id
    :param layers: its wrappers from the inside out
    :param unsayable: arguments that JSON cannot hold, and their types
    :param registered_limit: time limit of the id
    :param base: class of the environment inside of all wrappers; ``None`` if unknown
    """

    env_id: str | None
    arguments: Json
    layers: tuple[Layer, ...]
    unsayable: Json = field(default_factory=dict)
    registered_limit: int | None = None
    base: str | None = None


def look(env: Env) -> Seen:
    """
    :param env: a single environment
    :return: what it is made of; plain data, which any process can send
    """
    layers: list[Layer] = []
    while isinstance(env, gym.Wrapper):
        layers.insert(0, _layer(env))
        env = env.env
    base = f"{type(env).__module__}:{type(env).__qualname__}"
    spec = env.spec
    if spec is None:
        return Seen(None, {}, tuple(layers), base=base)
    arguments, unsayable = _arguments(spec, NOT_THE_TASK)
    return Seen(spec.id, arguments, tuple(layers), unsayable, _registered_limit(spec), base)


def look_at_spec(spec: EnvSpec) -> Seen:
    """
    :param spec: specification of a vector environment, or of environments that cannot be seen themselves
    :return: what it says of them
    """
    arguments, unsayable = _arguments(spec, NOT_THE_TASK_OF_VECTORS)
    limit = spec.kwargs.get("max_episode_steps", spec.max_episode_steps)
    is_limited = limit is not None and limit != -1
    layers = [time_limit(limit)] if is_limited else []
    for wrapper in spec.additional_wrappers:
        layers.append(Layer(wrapper.name, wrapper.entry_point, _encoded(wrapper.kwargs, wrapper.entry_point)))
    for function in spec.kwargs.get("wrappers", ()):  # of gym.make_vec
        name = getattr(function, "__qualname__", type(function).__name__)
        layers.append(Layer(name, f"{getattr(function, '__module__', '')}:{name}", None))
    return Seen(spec.id, arguments, tuple(layers), unsayable, _registered_limit(spec))


def look_into(env: VecEnv) -> list[Seen]:
    """
    :param env: any ``VecEnv``
    :return: its environments, or one that stands for all; nothing where it does not tell
    """
    inner = env.unwrapped
    if isinstance(inner, GymnasiumVecEnv):
        vector = inner.env.unwrapped
        singles = getattr(vector, "envs", None)
        return [look(single) for single in singles] if singles else _of_spec(vector.spec)
    if isinstance(inner, DummyVecEnv):
        return [look(single) for single in inner.envs]
    if isinstance(inner, (SubprocVecEnv, WorkerVecEnv)):
        if not all(inner.env_is_wrapped(_Spy)):
            return []
        return cast("list[Seen]", inner.get_attr(_Spy.ATTRIBUTE))
    try:
        return _of_spec(cast("EnvSpec | None", env.get_attr("spec", [0])[0]))
    except (AttributeError, NotImplementedError):
        return []


def vector_layers(env: VecEnv) -> list[Layer]:
    """Gymnasium's wrappers around a whole vector environment, from the inside out. Their arguments are not recorded."""
    layers: list[Layer] = []
    inner: VectorEnv | None = getattr(env.unwrapped, "env", None)
    while isinstance(inner, VectorWrapper):
        layers.insert(0, Layer(type(inner).__name__, f"{type(inner).__module__}:{type(inner).__name__}", None))
        inner = inner.env
    return layers


def time_limit(steps: int | None) -> Layer:
    """Gymnasium's wrapper for the longest episode."""
    return Layer("TimeLimit", "gymnasium.wrappers.common:TimeLimit", {"max_episode_steps": steps})


class _SpyType(type):
    def __instancecheck__(cls, env: object) -> bool:
        if not isinstance(env, gym.Env):
            return False
        setattr(env, _Spy.ATTRIBUTE, look(env))
        return True


class _Spy(gym.Wrapper, metaclass=_SpyType):
    """
    Environments in other processes are seen by asking whether they are in this wrapper: the question is answered where they
    live, by ``isinstance``, and leaves the answer of ``look`` there. A specification itself cannot always be sent.
    """

    ATTRIBUTE = "seen_by_sb3_distill"


def _of_spec(spec: EnvSpec | None) -> list[Seen]:
    return [] if spec is None else [look_at_spec(spec)]


def _registered_limit(spec: EnvSpec) -> int | None:
    registered = gym.registry.get(spec.id)
    return None if registered is None else registered.max_episode_steps


def _arguments(spec: EnvSpec, ignored: Sequence[str]) -> tuple[Json, Json]:
    """Arguments that differ from those of the registration: those that JSON holds, and types of the others."""
    registered = gym.registry.get(spec.id)
    defaults = {} if registered is None else registered.kwargs
    sayable: Json = {}
    unsayable: Json = {}
    for key, value in spec.kwargs.items():
        if key in ignored or (key in defaults and same_value(defaults[key], value)):
            continue
        try:
            sayable[key] = encode(value)
        except ArgumentError:
            unsayable[key] = type(value).__name__
    return sayable, unsayable


def _layer(wrapper: "gym.Wrapper[object, object, object, object]") -> Layer:
    cls = type(wrapper)
    entry_point = f"{cls.__module__}:{cls.__name__}"
    kwargs = _saved_arguments(wrapper)
    if cls.__name__ in LIMITS and entry_point.startswith(TRUSTED):  # rl_zoo3 puts its own into Gymnasium's place
        return time_limit(getattr(wrapper, "_max_episode_steps", None))
    return Layer(cls.__name__, entry_point, _encoded(kwargs, entry_point))


def _saved_arguments(wrapper: "gym.Wrapper[object, object, object, object]") -> Mapping[str, object] | None:
    """The arguments that a wrapper was made with; ``None`` where it does not tell."""
    cls = type(wrapper)
    if cls.__name__ in ATTRIBUTES and cls.__module__.startswith("stable_baselines3."):
        return {key: getattr(wrapper, attribute) for key, attribute in ATTRIBUTES[cls.__name__].items()}
    if "<locals>" in cls.__qualname__:
        return None
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    try:
        _, *parameters = inspect.signature(cls).parameters.values()  # the first is the environment
    except (ValueError, TypeError):
        return None
    saved = getattr(wrapper, "_saved_kwargs", None) if isinstance(wrapper, RecordConstructorArgs) else None
    if saved is None:
        return None if parameters else {}  # without arguments there is nothing to record
    saved = {key: value for key, value in saved.items() if key != "env"}
    named = [parameter for parameter in parameters if parameter.kind not in kinds]
    required = {parameter.name for parameter in named if parameter.default is parameter.empty}
    takes_more = len(named) < len(parameters)
    # A subclass may have recorded what its parent takes.
    fits = required <= set(saved) and (takes_more or set(saved) <= {parameter.name for parameter in named})
    return saved if fits else None


def _encoded(kwargs: Mapping[str, object] | None, entry_point: str) -> Json | None:
    """Arguments of a wrapper as JSON, where tuples are lists, as always; ``None`` where JSON cannot hold them."""
    if kwargs is None:
        return None
    is_trusted = entry_point.startswith(TRUSTED)
    encoded: Json = {}
    try:
        for key, value in kwargs.items():
            if type(value) is list and not is_trusted:
                encoded[key] = {LIST: [encode(entry) for entry in value]}
            elif type(value) is tuple:
                encoded[key] = [encode(entry) for entry in value]
            else:
                encoded[key] = encode(value)
    except ArgumentError:
        return None
    return encoded
