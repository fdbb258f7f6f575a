"""What a Gymnasium id tells: the package that registers it, and whether it is a simulator."""

import contextlib
import importlib
from collections.abc import Collection

import gymnasium as gym
from gymnasium.envs.registration import find_highest_version, get_env_id, parse_env_id

from sb3_distill.dataset.allowed import allowed_env_id
from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.errors import ArgumentError, MissingExtraError, warn

EXTRAS = {
    "gymnasium.envs.mujoco": ("mujoco", "mujoco"),
    "gymnasium.envs.box2d": ("Box2D", "box2d"),
    "sb3_distill.environments.atari": ("ale_py", "atari"),
}
"""Modules of environments: the package that each imports, and our extra that installs it."""

SIMULATORS = ("gymnasium.envs.mujoco", "gymnasium.envs.box2d", "shimmy.dm_control", "sb3_distill.environments.atari")
"""Modules of environments whose step takes longer than a message to another process."""

ALE = "ale_py.env:AtariEnv"
"""Entry point of the games that ALE registers."""


def registered_name(env_id: str) -> str:
    """
    An id as it is registered: Gymnasium's ``"module:id"`` without the module, which must have been imported; and where it has
    no version, with the latest.
    """
    name = env_id.rpartition(":")[2]
    if name in gym.registry:
        return name
    try:
        namespace, stem, version = parse_env_id(name)
    except gym.error.Error:  # no id at all
        return name
    latest = find_highest_version(namespace, stem) if version is None else None
    return name if latest is None else get_env_id(namespace, stem, latest)


def full_id(env_id: str) -> str:
    """
    :param env_id: a Gymnasium id; the package that registers it is imported
    :return: the same with a version; a warning says which, where it had none
    :raises ImportError: see ``import_plugin``
    """
    import_plugin(env_id)
    module, colon, name = env_id.rpartition(":")
    if (registered := registered_name(env_id)) == name:
        return env_id
    warn(f"the id {env_id!r} has no version: the latest one, {registered}, is taken")
    return module + colon + registered


def import_plugin(env_id: str) -> None:
    """
    Import the package that registers an environment with Gymnasium, where it is known and installed.

    :param env_id: a Gymnasium id
    :raises ImportError: if the simulator of one of Gymnasium's own environments is not installed
    """
    module, _, _ = env_id.rpartition(":")  # Gymnasium's "module:id"
    if module:
        _import_for(env_id, module)
    if env_id.startswith("dm_control/"):
        with contextlib.suppress(ImportError):
            importlib.import_module("shimmy")
    if env_id.startswith("ALE/") or "NoFrameskip-v" in env_id:
        _import_for(env_id, "ale_py", "atari")
    registered = gym.registry.get(registered_name(env_id))
    if registered is None:  # maybe an old one of Atari's ("Pong-v4")
        with contextlib.suppress(ImportError):
            importlib.import_module("ale_py")
        return
    for module, (package, extra) in EXTRAS.items():
        if str(registered.entry_point).startswith(module):
            _import_for(env_id, package, extra)


def recorded_env_id(info: DatasetInfo, allow_imports: Collection[str] = (), overridden: Collection[str] = ()) -> str:
    """
    The environment of a file, which is registered now.

    :param info: description of a dataset that names an environment
    :param allow_imports: modules that the caller trusts, see ``dataset.allowed``
    :param overridden: names of arguments that the caller gives in place of those of the file
    :return: the id
    :raises ValueError: for one that would import another module, is not registered, or has arguments that a file may not have
    :raises ImportError: if a package is missing
    """
    env_id = allowed_env_id(info, allow_imports, overridden)
    import_plugin(env_id)
    try:
        gym.spec(registered_name(env_id))
    except gym.error.Error as error:
        raise ArgumentError(
            f"{error} If it is of a package that you trust, name the module that registers it with allow_imports=[...] "
            "(on the command line --gym-packages)"
        ) from error
    return env_id


def is_atari(env_id: str) -> bool:
    """Whether an id is that of a game of ALE, seen as pictures."""
    registered = gym.registry.get(registered_name(env_id))
    return registered is not None and registered.entry_point == ALE


def is_simulator(env_id: str) -> bool:
    """Whether a step of an environment is dear enough to be taken in another process, see ``SIMULATORS``."""
    entry_point = gym.spec(registered_name(env_id)).entry_point
    return isinstance(entry_point, str) and entry_point.startswith(SIMULATORS)


def is_cheap(env_id: str) -> bool:
    """Whether thousands of an environment may be made: it is neither a simulator nor a game."""
    import_plugin(env_id)
    return not (is_atari(env_id) or is_simulator(env_id))


def _import_for(env_id: str, package: str, extra: str | None = None) -> None:
    try:
        importlib.import_module(package)
    except ImportError as error:
        advice = "" if extra is None else f': pip install "sb3-distill[{extra}]"'
        raise MissingExtraError(f"{env_id} needs {package}{advice} ({error})") from error
