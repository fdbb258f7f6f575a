"""
The wrappers of an environment as a dataset file records them.

A record has the ``name`` of a wrapper, its ``entry_point`` (``"vec_env"`` for those of a whole vector environment, ``"atari"``
for the options of an ``AtariVecEnv``), and its ``kwargs``, which are ``None`` where they are not known.

What a file cannot say of an environment is such a record too, with the entry point ``ARGUMENT`` or ``ENVIRONMENT``.
"""

from collections.abc import Sequence

from sb3_distill.typing import Json

ARGUMENT, ENVIRONMENT = "argument", "environment"
"""Entry points of what a file cannot say: an argument (its name is ``<argument>=<type>``), or something else."""


def is_single(record: Json) -> bool:
    """Whether that is a wrapper of single environments."""
    return record["entry_point"] not in ("vec_env", "atari", ARGUMENT, ENVIRONMENT)


def atari_options(records: Sequence[Json]) -> Json | None:
    """
    :param records: wrappers of a dataset
    :return: the arguments of its ``AtariVecEnv``; ``None`` if there is none
    """
    return next((record["kwargs"] for record in records if record["entry_point"] == "atari"), None)


def hint(records: Sequence[Json]) -> str:
    """
    :param records: wrappers of a dataset
    :return: advice for a user whose observations have the wrong shape
    """
    if not records:
        return "is a wrapper of the environment missing?"
    can_be_made = all(record["kwargs"] is not None for record in records)
    advice = ": make_vec_env(dataset, n_envs) builds it" if can_be_made else ""
    return f"the environment must wear {described(records)}{advice}"


def described(records: Sequence[Json]) -> str:
    """Wrappers with their arguments from the inside out, e.g. ``"WarpFrame(width=84), VecFrameStack(n_stack=4)"``."""
    return ", ".join(_described(record) for record in records)


def _described(record: Json) -> str:
    if record["entry_point"] in (ARGUMENT, ENVIRONMENT):
        return str(record["name"])
    return f"{record['name']}({_arguments(record['kwargs'] or {})})"


def _arguments(kwargs: Json) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in kwargs.items())
