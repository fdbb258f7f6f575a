"""What all levels of a ladder have in common, in words, so that a folder keeps to one ladder."""

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path

from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from sb3_distill.dataset.wrapper_records import described
from sb3_distill.environments.origin import env_origin, recorded_wrappers
from sb3_distill.errors import ArgumentError
from sb3_distill.rollback.level_files import RUN, read_json

DEFAULT_CLIP = 10.0
"""Largest reward that a ``VecNormalize`` returns, unless told otherwise."""
NOT_THE_RUN = ("device",)
"""Arguments of ``PPMO`` that may change when a ladder goes on."""


def describe_run(policy: object, env: VecEnv, settings: Mapping[str, object]) -> dict[str, str]:
    """
    :param policy: alias or class of the policy
    :param env: environments of the ladder
    :param settings: further arguments of ``PPMO``
    :return: a text for each thing that all levels have in common, by its name
    """
    arguments = {name: _without_addresses(str(value)) for name, value in settings.items() if name not in NOT_THE_RUN}
    return {
        "policy": str(policy),
        "environment": str(env_origin(env)[0]),
        "number of environments": str(env.num_envs),
        "wrappers": described(recorded_wrappers(env)),
        "normalisation": _describe_normalization(env),
        **{f"`{name}`": text for name, text in sorted(arguments.items())},
    }


def check_same(run: Mapping[str, str], folder: Path) -> None:
    """
    A folder is for one ladder, from its start, since a checkpoint keeps the settings it was started with.

    :param run: see ``describe_run``
    :param folder: folder of the ladder
    :raises ValueError: if the folder holds another ladder
    """
    stored = read_json(folder / RUN) or dict(run)
    for name in [*stored, *run]:
        before, now = stored.get(name, "default"), run.get(name, "default")
        if (name in stored) != (name in run) or not same_setting(before, now):
            raise ArgumentError(f"{folder} holds a ladder with another {name}: {before}, not {now}; take another")


def same_setting(one: str, other: str) -> bool:
    """Whether two texts are the same, or say the same value: ``{'a': 1, 'b': (2,)}`` is ``{'b': [2.0], 'a': 1}``."""
    return one == other or _as_json(one) == _as_json(other)


def _as_json(text: str) -> object:
    """The value that a text says in Python's words, as JSON would hold it; else the text."""
    try:
        return json.loads(json.dumps(ast.literal_eval(text)))
    except (ValueError, SyntaxError, TypeError):  # no literal, or one that JSON does not know
        return text


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x\w+", "", text)


def _describe_normalization(env: VecEnv) -> str:
    normalizer = unwrap_vec_normalize(env)
    if normalizer is None:
        return "none"
    clip = "" if normalizer.clip_reward == DEFAULT_CLIP else f" up to {normalizer.clip_reward}"
    return f"observations {normalizer.norm_obs}, rewards {normalizer.norm_reward}{clip}"
