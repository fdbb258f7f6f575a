"""
The wrappers of an environment as a dataset file records them.

A record has the ``name`` of a wrapper, its ``entry_point`` (``"vec_env"`` for those of a whole vector environment, ``"atari"``
for the options of an ``AtariVecEnv``), and its ``kwargs``, which are ``None`` where they are not known.
"""

from collections.abc import Sequence

from sb3_distill.typing import Json


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
    return ", ".join(f"{record['name']}({_arguments(record['kwargs'] or {})})" for record in records)


def _arguments(kwargs: Json) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in kwargs.items())
