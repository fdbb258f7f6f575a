"""The zip of an agent, and what keeps it from being read."""

import contextlib
import importlib.util
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import stable_baselines3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.utils import ConstantSchedule

from sb3_distill.errors import ArgumentError, SB3DistillError
from sb3_distill.networks.anatomy import needs_of
from sb3_distill.typing import Kwargs

ALGORITHMS = ("PPO", "A2C", "DQN", "SAC", "TD3", "DDPG")
CONTRIB = ("TQC", "CrossQ", "TRPO", "ARS", "QRDQN", "MaskablePPO")
RATES = {"learning_rate": 0.0, "lr_schedule": ConstantSchedule(0.0), "clip_range": 0.0, "clip_range_vf": None}
"""What only learning needs. It is not read: functions of another Python cannot be."""


def load_agent(path: Path, algo: str | None, custom_objects: Mapping[str, object] | None) -> BaseAlgorithm:
    """
    :param path: a zip that an SB3 (or sb3-contrib) algorithm saved
    :param algo: name of the algorithm; ``None`` to see it from the policy
    :param custom_objects: what takes the place of parts of the file, as in SB3's ``load``
    :return: the agent, on the CPU
    :raises ValueError: if the file is not an agent, of an algorithm that is not known, or needs what is not installed
    """
    custom = {**RATES, **(custom_objects or {})}
    advice = "is it damaged?" if algo is None else f"was it saved by {algo}?"
    with _refused(path, advice):
        algorithm = _algorithm_of(path, algo, custom)
        memory = _no_memory() if issubclass(algorithm, OffPolicyAlgorithm) else {}
        return algorithm.load(path, device="cpu", custom_objects=custom, **memory)


def _no_memory() -> Kwargs:
    """Arguments of an agent that shall not remember anything, whatever it did while it learned. SB3 writes into the dict."""
    return {
        "buffer_size": 1,
        "replay_buffer_class": None,
        "replay_buffer_kwargs": {},
        "optimize_memory_usage": False,
        "n_steps": 1,
    }


@contextlib.contextmanager
def _refused(path: Path, advice: str) -> Iterator[None]:
    """Tell in a sentence whatever a damaged pickle leads to, the zip of another algorithm, or a package that is missing."""
    skipped: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except (SB3DistillError, OSError):
        raise
    except Exception as error:
        skipped = [str(one.message) for one in caught if str(one.message).startswith("Could not deserialize")]
        if (sentence := missing_package(path, error)) is not None:
            raise ArgumentError(sentence) from error
        lost = f"; {' '.join(skipped[0].split())}" if skipped else ""
        raise ArgumentError(f"{path} cannot be loaded, {advice} ({type(error).__name__}: {error}){lost}") from error
    for one in caught:
        if not str(one.message).startswith("Could not deserialize"):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def missing_package(path: Path, error: BaseException) -> str | None:
    """
    :param path: a file with a pickle
    :param error: what its loading led to
    :return: what is to be installed, in a sentence; ``None`` where nothing is missing
    """
    text = str(error)
    name = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    is_gym = (name or "").partition(".")[0] == "gym" or "OpenAI Gym" in text or "shimmy" in text.lower()
    if is_gym:
        return (
            f"{path} was saved with gym, which came before Gymnasium: `pip install gym==0.26.2 shimmy` lets it be read, or "
            "Expert.load(path, custom_objects={'observation_space': ..., 'action_space': ...}) with spaces of Gymnasium"
        )
    if name is not None and importlib.util.find_spec(name.partition(".")[0]) is not None:
        package = name.partition(".")[0]
        return (
            f"{path} names the module {name!r}, which the installed {package} does not have: install the version that it was "
            "saved with (system_info.txt in the zip says which)"
        )
    if name is not None:
        return (
            f"{path} names the module {name!r}, which is not installed: install its package, put the file on PYTHONPATH, or "
            "replace what needs it, Expert.load(path, custom_objects={'policy_class': ...})"
        )
    if (match := re.match(r"Can't get attribute '(.+)' on <module '(.+?)'", text)) is not None:
        return (
            f"{path} names {match[1]!r} of the module {match[2]!r}, which has none: define it there before, or replace what "
            "needs it, Expert.load(path, custom_objects={'policy_class': ...})"
        )
    return None


def _algorithm_of(path: Path, name: str | None, custom_objects: Kwargs) -> type[BaseAlgorithm]:
    data, _, _ = load_from_zip_file(path, device="cpu", load_data=True, custom_objects=custom_objects)
    if data is None:
        raise ArgumentError(f"{path} is not a zip that an SB3 algorithm saved")
    if "dataset_info" in data:
        raise ArgumentError(f"{path} is a run of PPMO, which has a dataset: PPMO.load(...).dataset")
    policy_class = data.get("policy_class")
    if policy_class is not None and needs_of(policy_class):
        raise ArgumentError(f"{path} is recurrent: its actions do not follow from one observation")
    shown = getattr(policy_class, "__name__", "")
    algorithms = {algorithm.__name__: algorithm for algorithm in _algorithms()}
    if name is not None:
        if name.upper() not in {key.upper() for key in algorithms}:
            raise ArgumentError(f"`algo` must be one of {', '.join(algorithms)}, got {name!r}")
        return next(algorithm for key, algorithm in algorithms.items() if key.upper() == name.upper())
    for algorithm in algorithms.values():
        if policy_class in algorithm.policy_aliases.values():
            return algorithm
    raise ArgumentError(
        f"{path} {f'has a policy {shown} of its own' if shown else 'does not say which policy it has'}: "
        f"say which algorithm saved it, one of {', '.join(algorithms)}"
    )


def _algorithms() -> list[type[BaseAlgorithm]]:
    found = [getattr(stable_baselines3, name) for name in ALGORITHMS]
    try:
        import sb3_contrib
    except ImportError:
        return found
    return found + [getattr(sb3_contrib, name) for name in CONTRIB if hasattr(sb3_contrib, name)]
