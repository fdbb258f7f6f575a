"""
The origin of an environment: what a dataset file records of it, compared with what is there.

What a file cannot say is recorded by name, as a wrapper without arguments: whoever makes the environment from the file is
refused with that name, also by version 0.1.0.
"""

import contextlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import gymnasium as gym
from gymnasium import spaces
from stable_baselines3.common import vec_env as sb3
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from sb3_distill.dataset.wrapper_records import ARGUMENT, ENVIRONMENT
from sb3_distill.environments.atari.vec_env import AtariVecEnv
from sb3_distill.environments.envpool_vec_env import EnvPoolVecEnv
from sb3_distill.environments.foreign.look import Layer, Seen, look, look_into, vector_layers
from sb3_distill.environments.make import has_native_vector_env
from sb3_distill.environments.vec_normalize import FrameStack
from sb3_distill.environments.wrappers import wrapper_class
from sb3_distill.errors import warn
from sb3_distill.spaces.values import decode
from sb3_distill.typing import Env, Json, Kwargs

TRANSPARENT = (
    "Monitor", "RecordVideo", "RecordEpisodeStatistics", "HumanRendering", "RenderCollection", "OrderEnforcing",
    "PassiveEnvChecker", "AtariWrapper",
    "VecMonitor", "VecNormalize", "VecTransposeImage", "VecCheckNan", "VecVideoRecorder",
)  # fmt: skip
"""Wrappers of Gymnasium and SB3 without a record: they change nothing that a policy sees, or are recorded otherwise, or are
composites of wrappers that are recorded one by one."""
OF_SB3 = ("stable_baselines3.", "sb3_distill.")


@dataclass(frozen=True)
class Origin:
    """
    What a file records of an environment.

    :param env_id: Gymnasium id; ``None`` if unknown
    :param env_kwargs: those keyword arguments that are not the defaults of the id, as JSON
    :param wrappers: records of its wrappers from the inside out, those of each environment first; see ``wrapper_records``
    """

    env_id: str | None
    env_kwargs: Json
    wrappers: list[Json]


def env_origin(env: VecEnv) -> tuple[str | None, Json]:
    """
    :param env: any ``VecEnv``
    :return: see ``Origin``
    """
    origin = recorded(env)
    return origin.env_id, origin.env_kwargs


def recorded_wrappers(env: VecEnv) -> list[Json]:
    """
    :param env: any ``VecEnv``
    :return: see ``Origin``
    """
    return recorded(env).wrappers


def recorded(env: VecEnv) -> Origin:
    """
    :param env: any ``VecEnv``
    :return: what a file can say of it; what it cannot say has a record with its name
    """
    seen = look_into(env)
    of_vectors = [layer.to_json() for layer in vector_layers(env) if not _is_transparent(layer)]
    if not seen or (env_id := seen[0].env_id) is None:
        return Origin(None, {}, of_vectors + _vec_records(env))
    first = seen[0]
    inner = env.unwrapped
    if isinstance(inner, (AtariVecEnv, EnvPoolVecEnv)):  # these check themselves what they take
        options: list[Json] = []
        if isinstance(inner, AtariVecEnv):
            options = [{"name": "AtariVecEnv", "entry_point": "atari", "kwargs": dict(inner.options)}]
        return Origin(env_id, _with_limit(first, _limit(first, [])), options + _unsayable(first) + _vec_records(env))
    reference = None if _is_native(env, env_id) else _made(first)
    made_by_id = [] if reference is None else [layer for layer in look(reference).layers if not _is_transparent(layer)]
    missing, outer = _beyond(first, made_by_id)
    arguments = _with_limit(first, _limit(first, made_by_id))
    records = [_record(layer) for layer in outer] + _unsayable(first)
    records += [_cannot(f"{env_id} without its {layer.name}") for layer in missing]
    if any(one != first for one in seen):
        records.append(_cannot("environments that differ from each other"))
    records += of_vectors
    if reference is not None:
        if all(record["kwargs"] is not None for record in records):
            records += _differences(env, first, reference, records)
        reference.close()
    return Origin(env_id, arguments, records + _vec_records(env))


def _is_transparent(layer: Layer) -> bool:
    return layer.name in TRANSPARENT and layer.is_trusted


def _is_native(env: VecEnv, env_id: str) -> bool:
    """Whether the vector environment of the id itself is stepped, and made so again."""
    inner = getattr(env.unwrapped, "env", None)
    is_vector = isinstance(inner, gym.vector.VectorEnv) and not hasattr(inner.unwrapped, "envs")
    return is_vector and env_id in gym.registry and has_native_vector_env(env_id)


def _made(seen: Seen) -> Env | None:
    """One environment of the same id and arguments, without a time limit; ``None`` if it cannot be made here."""
    assert seen.env_id is not None
    kwargs: Kwargs = {key: decode(value) for key, value in seen.arguments.items()}
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gym.make(seen.env_id, max_episode_steps=-1, **kwargs)
    return None


def _beyond(seen: Seen, made_by_id: Sequence[Layer]) -> tuple[list[Layer], list[Layer]]:
    """Wrappers that the id has and the environment has not, and those that the environment wears beyond them."""
    n_matched = 0
    outer: list[Layer] = []
    skipped = _limits(seen, made_by_id)
    for place, layer in enumerate(seen.layers):
        if _is_transparent(layer) or place in skipped:
            continue
        if n_matched < len(made_by_id) and not outer and layer == made_by_id[n_matched]:
            n_matched += 1
        else:
            outer.append(layer)
    return list(made_by_id[n_matched:]), outer


def _limits(seen: Seen, made_by_id: Sequence[Layer]) -> list[int]:
    """Places of the time limits that an argument of ``gym.make`` can say: nothing stands between them."""
    registered = None if seen.env_id is None else gym.registry.get(seen.env_id)
    n_outside = 0 if registered is None else len(registered.additional_wrappers)  # these come after the limit
    places: list[int] = []
    n_matched = 0
    for place, layer in enumerate(seen.layers):
        if _is_transparent(layer):
            continue
        if n_matched < len(made_by_id) and layer == made_by_id[n_matched] and not places:
            n_matched += 1
        elif layer.limit is None or n_matched > len(made_by_id) - n_outside:
            break
        else:
            places.append(place)
    return places


def _limit(seen: Seen, made_by_id: Sequence[Layer]) -> int | None:
    """Longest episode; ``None`` for no limit."""
    limits = [seen.layers[place].limit for place in _limits(seen, made_by_id)]
    return min((limit for limit in limits if limit is not None), default=None)


def _with_limit(seen: Seen, limit: int | None) -> Json:
    if limit == seen.registered_limit:
        return dict(seen.arguments)
    return {**seen.arguments, "max_episode_steps": -1 if limit is None else limit}


def _differences(env: VecEnv, seen: Seen, reference: Env, records: Sequence[Json]) -> list[Json]:
    """Records of what is other than the environment that the file would make."""
    made = look(reference)
    if seen.base is not None and made.base != seen.base:
        return [_cannot(f"{seen.base.partition(':')[2]} instead of {seen.env_id}")]
    try:
        wrap = wrapper_class(records)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = reference if wrap is None else wrap(reference)
            theirs = reference.observation_space, reference.action_space
    except Exception:  # refused or broken: whoever makes it from the file is told
        return []
    inner = env.unwrapped
    return [
        _cannot(f"another {name} space than {seen.env_id} has, {' '.join(str(space).split())}")
        for name, space, other in zip(
            ("observation", "action"), (inner.observation_space, inner.action_space), theirs, strict=True
        )
        if space != other or list(_keys(space)) != list(_keys(other))
    ]


def _keys(space: object) -> Sequence[str]:
    return list(space.spaces) if isinstance(space, spaces.Dict) else []


def _unsayable(seen: Seen) -> list[Json]:
    return [{"name": f"{key}={kind}", "entry_point": ARGUMENT, "kwargs": None} for key, kind in seen.unsayable.items()]


def _cannot(what: str) -> Json:
    return {"name": what, "entry_point": ENVIRONMENT, "kwargs": None}


def _record(layer: Layer) -> Json:
    """The record of a wrapper of single environments."""
    record = layer.to_json()
    if layer.name in ("NormalizeObservation", "NormalizeReward"):
        record["kwargs"] = None
        warn(f"statistics of {layer.name} do not travel in the dataset: use a VecNormalize")
    return record


def _vec_records(env: VecEnv) -> list[Json]:
    """Records of the wrappers around the whole vector environment, from the inside out."""
    records: list[Json] = []
    while isinstance(env, VecEnvWrapper):
        name = type(env).__name__
        if name not in TRANSPARENT or not type(env).__module__.startswith(OF_SB3):
            records.insert(0, {"name": name, "entry_point": "vec_env", "kwargs": _vec_arguments(env)})
        env = env.venv
    return records


def _vec_arguments(env: VecEnvWrapper) -> Json | None:
    cls = type(env)
    if getattr(sb3, cls.__name__, cls) is not cls:  # another class that is only called so
        return None
    if isinstance(env, sb3.VecFrameStack):
        return {"n_stack": int(env.stacked_obs.n_stack), "channels_order": _channels_order(env.stacked_obs)}
    if isinstance(env, sb3.VecExtractDictObs):
        return {"key": env.key}
    return None


def _channels_order(stack: FrameStack) -> str | Json:
    if isinstance(stack.observation_space, spaces.Dict):
        return {key: _channels_order(part) for key, part in stack.sub_stacked_observations.items()}
    return "first" if stack.channels_first else "last"
