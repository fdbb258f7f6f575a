"""Packages that register environments, and which environments are simulators."""

import contextlib
import importlib

import gymnasium as gym

from sb3_distill.environments.atari.vec_env import is_atari
from sb3_distill.environments.gymnasium_vec_env import registered_name
from sb3_distill.errors import MissingExtraError

EXTRAS = {
    "gymnasium.envs.mujoco": ("mujoco", "mujoco"),
    "gymnasium.envs.box2d": ("Box2D", "box2d"),
    "sb3_distill.environments.atari": ("ale_py", "atari"),
}
"""Modules of environments, what they import, and our extra that installs it."""

SIMULATORS = ("gymnasium.envs.mujoco", "gymnasium.envs.box2d", "shimmy.dm_control", "sb3_distill.environments.atari")
"""Modules of environments whose step takes longer than a message to another process."""


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
    for module, (simulator, extra) in EXTRAS.items():
        if registered is not None and str(registered.entry_point).startswith(module):
            _import_for(env_id, simulator, extra)


def _import_for(env_id: str, module: str, extra: str | None = None) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        advice = "" if extra is None else f': pip install "sb3-distill[{extra}]"'
        raise MissingExtraError(f"{env_id} needs {module}{advice} ({error})") from error


def is_cheap(env_id: str) -> bool:
    """Whether an environment is no simulator, so that thousands of it may be made."""
    import_plugin(env_id)
    return not (is_atari(env_id) or _is_simulator(env_id))


def _is_simulator(env_id: str) -> bool:
    entry_point = gym.spec(registered_name(env_id)).entry_point
    return isinstance(entry_point, str) and entry_point.startswith(SIMULATORS)
