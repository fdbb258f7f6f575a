"""
rl-zoo with PPMO in it: ``sb3-distill train | enjoy | plot-train | ...`` (needs ``pip install "sb3-distill[zoo]"``).

The zoo's programs run unchanged, with their arguments. What is added: PPMO among its algorithms, the sampler and the
converter of its hyperparameter search, the configuration that comes with this package, and native vector environments.
"""

import difflib
import importlib
import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING

import gymnasium as gym

from sb3_distill.cli.mistakes import refused_by, refused_by_others
from sb3_distill.cli.parsing import check_hyperparameters, literal
from sb3_distill.environments.plugins import import_plugin
from sb3_distill.errors import ArgumentError, MissingExtraError
from sb3_distill.outer_loop.rates import FOLLOWING_RATES
from sb3_distill.ppmo import PPMO
from sb3_distill.typing import Json

if TYPE_CHECKING:
    import optuna

__all__ = [
    "ALGORITHM",
    "COMMANDS",
    "check_environment",
    "check_hyperparameters",
    "config_file",
    "convert_hyperparameters",
    "literal",
    "register",
    "run",
    "sample_hyperparameters",
]

ALGORITHM = "ppmo"
"""Name of PPMO in the zoo."""
COMMANDS = {
    "train": ("rl_zoo3.train", "Distil (or train any algorithm of the zoo): rl_zoo3.train with PPMO registered."),
    "enjoy": ("rl_zoo3.enjoy", "Watch a trained agent: rl_zoo3.enjoy."),
    "plot-train": ("rl_zoo3.plots.plot_train", "Plot training rewards: rl_zoo3.plots.plot_train."),
    "all-plots": ("rl_zoo3.plots.all_plots", "Plot evaluations of several runs: rl_zoo3.plots.all_plots."),
    "plot-from-file": ("rl_zoo3.plots.plot_from_file", "Plot what all-plots saved: rl_zoo3.plots.plot_from_file."),
}
"""Our commands, the zoo's modules behind them, and what they do."""
FUNCTIONS = ("train", "enjoy")
"""Commands that are functions of the zoo; the other ones are scripts."""
EXTRAS = {"dm_control/": "dm-control", "ALE/": "atari"}
"""Beginnings of environment ids, and the extra that installs these environments."""


def config_file() -> str:
    """Path of the tuned hyperparameters that come with this package."""
    return str(resources.files("sb3_distill.zoo_configs") / "ppmo.yml")


def register() -> None:
    """
    Put PPMO into rl-zoo's tables, once.

    :raises ImportError: if rl-zoo is not installed
    """
    try:
        import rl_zoo3.hyperparams_opt
        import rl_zoo3.train
        import rl_zoo3.utils

        from sb3_distill.cli.zoo_manager import NativeManager
    except ImportError as error:
        raise MissingExtraError(f'this command needs rl-zoo: pip install "sb3-distill[zoo]" ({error})') from error
    rl_zoo3.utils.ALGOS[ALGORITHM] = PPMO
    rl_zoo3.hyperparams_opt.HYPERPARAMS_SAMPLER[ALGORITHM] = sample_hyperparameters
    rl_zoo3.hyperparams_opt.HYPERPARAMS_CONVERTER[ALGORITHM] = convert_hyperparameters  # type: ignore[assignment]
    rl_zoo3.train.ExperimentManager = NativeManager  # type: ignore[attr-defined]


def run(command: str, arguments: Sequence[str]) -> None:
    """
    Run one of the zoo's programs.

    :param command: a key of ``COMMANDS``
    :param arguments: arguments of the program; ``--algo ppmo`` is the default, and its configuration file this package's
    :raises ImportError: if rl-zoo is not installed
    :raises ValueError: for arguments that the zoo or PPMO refuses
    :raises SystemExit: as the zoo's program does
    """
    register()
    arguments = _completed(command, list(arguments))
    module, _ = COMMANDS[command]
    # Bugs of PPMO show in what comes after its construction.
    learning = (PPMO.train, PPMO.collect_rollouts)
    with _program_arguments(command, arguments), refused_by_others("rl-zoo", *learning), refused_by(PPMO):
        if command in FUNCTIONS:
            getattr(importlib.import_module(module), command)()
        else:
            importlib.import_module(module.rpartition(".")[0])  # the package, which imports the module
            sys.modules.pop(module, None)  # a module that was imported before would not be executed again
            runpy.run_module(module, run_name="__main__")


def _completed(command: str, arguments: list[str]) -> list[str]:
    """Arguments with our defaults, after a look at the environment."""
    env_id = _value(arguments, "--env")
    if env_id is not None:
        import_plugin(env_id)
    if command not in FUNCTIONS:
        return arguments
    if env_id is not None and not _has(arguments, "--gym-packages"):
        check_environment(env_id)
    if not _has(arguments, "--algo"):
        arguments = ["--algo", ALGORITHM, *arguments]
    if command == "train" and _value(arguments, "--algo") == ALGORITHM and not _has(arguments, "--conf-file", "-conf"):
        arguments += ["--conf-file", config_file()]
    return arguments


@contextmanager
def _program_arguments(command: str, arguments: list[str]) -> Iterator[None]:
    """The zoo's programs read the arguments of the process."""
    before, sys.argv = sys.argv, [f"sb3-distill {command}", *arguments]
    try:
        yield
    finally:
        sys.argv = before


def sample_hyperparameters(trial: "optuna.Trial", n_actions: int, n_envs: int, additional_args: Json) -> Json:
    """
    The search space of ``sb3-distill train -optimize``.

    :param trial: trial of optuna
    :param n_actions: dimensions of a continuous action; not used
    :param n_envs: number of environments; not used
    :param additional_args: further arguments of the zoo; not used
    :return: arguments of ``PPMO``
    """
    return convert_hyperparameters(
        {
            "learning_rate": trial.suggest_float("learning_rate", 1e-4, 0.1, log=True),
            "one_minus_gamma": trial.suggest_float("one_minus_gamma", 1e-3, 0.1, log=True),
            "one_minus_gae_lambda": trial.suggest_float("one_minus_gae_lambda", 1e-3, 0.3, log=True),
            "n_steps_pow": trial.suggest_int("n_steps_pow", 5, 10),
            "n_epochs": trial.suggest_categorical("n_epochs", [1, 2, 4, 8]),
            "clip_range": trial.suggest_categorical("clip_range", [0.1, 0.2, 0.3, 0.4]),
            "ent_coef": trial.suggest_float("ent_coef", 1e-8, 0.1, log=True),
            "inner_learning_rate": trial.suggest_float("inner_learning_rate", 0.01, 10.0, log=True),
        }
    )


def convert_hyperparameters(sampled: Json) -> Json:
    """
    :param sampled: parameters of a trial, as optuna stores them
    :return: arguments of ``PPMO``
    """
    result = dict(sampled)
    result["gamma"] = 1 - result.pop("one_minus_gamma")
    result["gae_lambda"] = 1 - result.pop("one_minus_gae_lambda")
    result["n_steps"] = 2 ** result.pop("n_steps_pow")
    # The other step sizes follow the sampled one, whatever the configuration says.
    return {**result, **{f"{name}_learning_rate": None for name in FOLLOWING_RATES}}


def check_environment(env_id: str) -> None:
    """
    :param env_id: a Gymnasium id
    :raises ValueError: if it is not registered, with what to install where an extra would help
    """
    if env_id in gym.registry:
        return
    near = difflib.get_close_matches(env_id, gym.registry, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    for beginning, extra in EXTRAS.items():
        if env_id.startswith(beginning):
            hint = f'; pip install "sb3-distill[{extra}]"'
    raise ArgumentError(f"the environment {env_id!r} is not registered{hint}")


def _has(arguments: Sequence[str], *names: str) -> bool:
    return any(argument.split("=")[0] in names for argument in arguments)


def _value(arguments: Sequence[str], name: str) -> str | None:
    for i, argument in enumerate(arguments):
        if argument == name and i + 1 < len(arguments):
            return arguments[i + 1]
        if argument.startswith(f"{name}="):
            return argument.split("=", 1)[1]
    return None
