"""The wrappers of an environment as a dataset file records them."""

from collections.abc import Sequence

from sb3_distill.typing import Json


def atari_options(records: Sequence[Json]) -> Json | None:
    """
    :param records: of a dataset
    :return: the arguments of its ``AtariVecEnv``; ``None`` if there is none
    """
    return next((record["kwargs"] for record in records if record["entry_point"] == "atari"), None)


def hint(records: Sequence[Json]) -> str:
    """How to mend a wrong observation shape."""
    if not records:
        return "is a wrapper of the environment missing?"
    told = all(record["kwargs"] is not None for record in records)
    return f"the environment must wear {described(records)}" + (": make_vec_env(dataset, n_envs) builds it" if told else "")


def described(records: Sequence[Json]) -> str:
    """The wrappers in the order in which one writes them down, e.g. ``"WarpFrame(width=84, height=84), VecFrameStack(4)"``."""
    return ", ".join(
        f"{record['name']}({', '.join(f'{key}={value!r}' for key, value in (record['kwargs'] or {}).items())})"
        for record in records
    )
