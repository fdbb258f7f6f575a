"""
The one list of what a dataset file may name: wrappers with their arguments, and environments.

A file comes from anybody. What is made from it is on this list, so that it imports, writes and reads nothing of its choice. A
caller who trusts a module says so (``allow_imports``): what that module holds may be named too, with any arguments.
"""

import importlib
import math
import re
import sys
from collections.abc import Collection, Sequence

import gymnasium as gym

from sb3_distill.dataset.file_checks import shortened
from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.errors import ArgumentError, MissingExtraError
from sb3_distill.typing import Json

Arguments = Sequence[str]

_BOTH: dict[str, Arguments] = {
    "ClipAction": (),
    "ClipReward": ("min_reward", "max_reward"),
    "DtypeObservation": ("dtype",),
    "FilterObservation": ("filter_keys",),
    "FlattenObservation": (),
    "GrayscaleObservation": ("keep_dim",),
    "RescaleAction": ("min_action", "max_action"),
    "RescaleObservation": ("min_obs", "max_obs"),
    "ReshapeObservation": ("shape",),
    "ResizeObservation": ("shape",),
}
WRAPPERS: dict[str, dict[str, Arguments]] = {
    "gymnasium.wrappers": {
        **_BOTH,
        "AddRenderObservation": ("render_only", "render_key", "obs_key"),
        "AddWhiteNoise": ("probability_of_noise_per_pixel", "is_noise_grayscale"),
        "AtariPreprocessing": (
            "noop_max", "frame_skip", "screen_size", "terminal_on_life_loss", "grayscale_obs", "grayscale_newaxis",
            "scale_obs",
        ),
        "Autoreset": (),
        "DelayObservation": ("delay",),
        "DiscretizeAction": ("bins", "multidiscrete"),
        "DiscretizeObservation": ("bins", "multidiscrete"),
        "FrameStackObservation": ("stack_size", "padding_type"),
        "MaxAndSkipObservation": ("skip",),
        "ObstructView": ("obstructed_pixels_ratio", "obstruction_width", "is_noise_grayscale"),
        "RepeatAction": ("num_repeats",),
        "StickyAction": ("repeat_action_probability", "repeat_action_duration"),
        "TimeAwareObservation": ("flatten", "normalize_time", "dict_time_key"),
        "TimeLimit": ("max_episode_steps",),
    },
    "gymnasium.wrappers.vector": _BOTH,
    "stable_baselines3.common.atari_wrappers": {
        "AtariWrapper": (
            "noop_max", "frame_skip", "screen_size", "terminal_on_life_loss", "clip_reward", "action_repeat_probability",
        ),
        "ClipRewardEnv": (),
        "EpisodicLifeEnv": (),
        "FireResetEnv": (),
        "MaxAndSkipEnv": ("skip",),
        "NoopResetEnv": ("noop_max",),
        "StickyActionEnv": ("action_repeat_probability",),
        "WarpFrame": ("width", "height"),
    },
    "sb3_contrib.common.wrappers": {"TimeFeatureWrapper": ("max_steps", "test_mode")},
    "rl_zoo3.wrappers": {
        "ActionNoiseWrapper": ("noise_std",),
        "ActionSmoothingWrapper": ("smoothing_coef",),
        "DelayedRewardWrapper": ("delay",),
        "FrameSkip": ("skip",),
        "HistoryWrapper": ("horizon",),
        "HistoryWrapperObsDict": ("horizon",),
        "MaskVelocityWrapper": (),
        "ResizeObservation": ("shape",),
        "TimeFeatureWrapper": ("max_steps", "test_mode"),
        "TruncatedOnSuccessWrapper": ("reward_offset", "n_successes"),
        "YAMLCompatResizeObservation": ("shape",),
    },
}  # fmt: skip
"""Wrappers of environments by the module that is asked for them, and the names of their arguments."""
VEC_WRAPPERS: dict[str, Arguments] = {
    "VecExtractDictObs": ("key",),
    "VecFrameStack": ("n_stack", "channels_order"),
    "VecTransposeImage": ("skip",),
}
"""Wrappers of SB3's whole vector environments."""
ATARI: Arguments = (
    "noop_max", "frame_skip", "screen_size", "n_stack", "terminal_on_life_loss", "clip_reward", "fire_reset",
    "action_repeat_probability",
)  # fmt: skip
"""Options of an ``AtariVecEnv``."""
LARGEST = {
    name: 1_000 for name in ("stack_size", "n_stack", "noop_max", "frame_skip", "skip", "delay", "horizon", "num_repeats")
}
LARGEST |= {"width": 4_096, "height": 4_096, "screen_size": 4_096, "bins": 10_000, "shape": 2**24}
"""Largest numbers of arguments that take memory or time; those of a list are multiplied."""
MULTIPLY = ("stack_size", "n_stack", "frame_skip", "skip", "delay", "horizon", "num_repeats", "repeat_action_duration")
"""Arguments by which wrappers inside of each other multiply memory or time."""
LARGEST_TOGETHER, MOST_WRAPPERS = 10_000, 100
"""Largest product of these over all wrappers of a file, and how many wrappers it may have."""
NOT_THE_TASK = (
    "autoreset_mode", "disable_env_checker", "num_envs", "render_mode", "vector_kwargs", "vectorization_mode", "wrappers",
)  # fmt: skip
"""Arguments of ``gym.make`` that say how an environment is run, which a file does not."""
FOREIGN = ("GymV21Environment", "GymV26Environment")
"""Environments that make any other one by its id."""


def is_allowed_module(module: str, allow_imports: Collection[str]) -> bool:
    """Whether a module is one of those that the caller trusts, or a part of one."""
    return any(module == name or module.startswith(f"{name}.") for name in allow_imports)


def allowed_wrapper(record: Json, allow_imports: Collection[str] = ()) -> object | None:
    """
    :param record: record of a wrapper of environments, see ``wrapper_records``
    :param allow_imports: modules that the caller trusts
    :return: what the list, or a trusted module, has by that name; ``None`` if neither has any
    :raises ValueError: for arguments that the list does not have
    """
    module, _, name = record["entry_point"].partition(":")
    if is_allowed_module(module, allow_imports):
        return getattr(importlib.import_module(module), name, None)
    home = max((home for home in WRAPPERS if _holds(home, module)), key=len, default=None)
    if home is None or name not in WRAPPERS[home]:
        return None
    check_arguments(name, record["kwargs"] or {}, WRAPPERS[home][name])
    try:
        return getattr(importlib.import_module(home), name, None)
    except ImportError as error:
        raise MissingExtraError(f"the dataset was made with the wrapper {name}, which needs a package: {error}") from error


def _holds(home: str, module: str) -> bool:
    """Whether a wrapper of a module is looked for in ``home``: modules inside a package change their names."""
    package = home if home.endswith(".vector") else home.partition(".")[0]
    return module == package or module.startswith(f"{package}.")


def check_together(records: Sequence[Json]) -> None:
    """
    :param records: all wrappers of a file
    :raises ValueError: if they take too much memory or time together
    """
    sizes = [
        _product(value) for record in records for key, value in (record["kwargs"] or {}).items() if key in MULTIPLY
    ]  # fmt: skip
    if len(records) > MOST_WRAPPERS or not math.prod(sizes) <= LARGEST_TOGETHER:
        raise ArgumentError(
            f"{len(records)} wrappers of the dataset together are too large, and not made from a file: {BUILD}"
        )


def check_arguments(name: str, kwargs: Json, allowed: Arguments) -> None:
    """
    :param name: name of what takes the arguments, for the message
    :param kwargs: arguments from a file
    :param allowed: names of the arguments that it may have
    :raises ValueError: for another name, a number that is too large, or what looks like a path
    """
    for key, value in kwargs.items():
        if key not in allowed:
            raise ArgumentError(
                f"the dataset gives {name} the argument {shortened(key)}, which is not made from a file: {BUILD}"
            )
        if not _is_plain(value) or not _product(value) <= LARGEST.get(key, math.inf):
            raise ArgumentError(f"the dataset gives {name} {key}={shortened(value)}, which is not made from a file: {BUILD}")


BUILD = "build the environment yourself"


def allowed_env_id(info: DatasetInfo, allow_imports: Collection[str] = (), overridden: Collection[str] = ()) -> str:
    """
    The environment of a file, after the caller's modules were imported, which may register it.

    :param info: description of a dataset that names an environment
    :param allow_imports: modules that the caller trusts
    :param overridden: names of arguments that the caller gives in place of those of the file
    :return: the id
    :raises ValueError: for one that would import another module, or arguments that are not made from a file
    :raises ImportError: if one of the caller's modules cannot be imported
    """
    assert info.env_id is not None
    import_modules(allow_imports)
    module, _, env_id = info.env_id.rpartition(":")
    if module and module not in sys.modules and not is_allowed_module(module, allow_imports):
        raise ArgumentError(
            f"the dataset was made on {shortened(info.env_id)}, and a file imports no module: if you trust it, say so with "
            f"allow_imports=[{shortened(module)}] (on the command line --gym-packages {shortened(module)})"
        )
    if module and is_allowed_module(module, allow_imports):
        import_modules([module])
    if env_id.startswith(FOREIGN) and not allow_imports:
        raise ArgumentError(f"the dataset was made on {shortened(env_id)}, which imports what its arguments say: {BUILD}")
    _check_env_kwargs({key: value for key, value in info.env_kwargs.items() if key not in overridden}, env_id, allow_imports)
    return info.env_id


def import_modules(names: Collection[str]) -> None:
    """
    :param names: modules that a user names, which register environments with Gymnasium
    :raises ImportError: if one cannot be imported
    """
    if isinstance(names, str):
        raise ArgumentError(f"`allow_imports` must be a list of names of modules, got the text {names!r}")
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise MissingExtraError(f"the module {name} cannot be imported: {error}") from error


def _check_env_kwargs(kwargs: Json, env_id: str, allow_imports: Collection[str]) -> None:
    entry_point = getattr(gym.registry.get(env_id), "entry_point", None)
    module = entry_point.partition(":")[0] if isinstance(entry_point, str) else getattr(entry_point, "__module__", None) or ""
    if is_allowed_module(module, allow_imports):
        return
    for key, value in kwargs.items():
        if key in NOT_THE_TASK or not _is_plain(value):
            trust = f", or say that you trust it with allow_imports=[{module!r}]" if module else ""
            argument = f"{shortened(key)}: {shortened(value)}"
            raise ArgumentError(
                f"the dataset gives {shortened(env_id)} {argument}, which is not made from a file: {BUILD}{trust}"
            )


def _is_plain(value: object) -> bool:
    """Whether an argument is a number, a short word that is no path, or a list or an object of these."""
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(entry) for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(entry) for entry in value)
    if isinstance(value, str):
        return len(value) <= 200 and not re.search(r"[/\\\x00]|^~|\.[A-Za-z]\w{0,7}$", value)
    return True


def _product(value: object) -> float:
    """The product of the numbers above 1 in an argument, also inside of the objects that stand for tuples and arrays."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return math.prod(_product(entry) for entry in value)
    return max(abs(value), 1) if isinstance(value, (int, float)) else 1
