"""
rl-zoo with PPMO in it: ``sb3-distill train | enjoy | plot-train | ...`` (needs ``pip install "sb3-distill[zoo]"``).

The zoo's own programs run unchanged, with their own arguments. What is added: PPMO among its algorithms, the sampler and the
converter of its hyperparameter search, the configuration that comes with this package, and native vector environments.
"""

import ast
import difflib
import importlib
import inspect
import runpy
import sys
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from typing import Any

import gymnasium as gym
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor

from sb3_distill.environments.make import fastest_class, has_native_vector_env, make_native
from sb3_distill.environments.plugins import import_plugin
from sb3_distill.errors import ArgumentError, MissingExtraError
from sb3_distill.outer_loop.rates import FOLLOWING_RATES, schedule
from sb3_distill.ppmo import PPMO

ALGORITHM = "ppmo"
COMMANDS = {
    "train": ("rl_zoo3.train", "Distil (or train any algorithm of the zoo): rl_zoo3.train with PPMO registered."),
    "enjoy": ("rl_zoo3.enjoy", "Watch a trained agent: rl_zoo3.enjoy."),
    "plot-train": ("rl_zoo3.plots.plot_train", "Plot training rewards: rl_zoo3.plots.plot_train."),
    "all-plots": ("rl_zoo3.plots.all_plots", "Plot evaluations of several runs: rl_zoo3.plots.all_plots."),
    "plot-from-file": ("rl_zoo3.plots.plot_from_file", "Plot what all-plots saved: rl_zoo3.plots.plot_from_file."),
}
"""Our commands, the zoo's modules behind them, and what they do."""


def config_file() -> str:
    """Path of the tuned hyperparameters that come with this package."""
    return str(resources.files("sb3_distill.zoo_configs") / "ppmo.yml")


def register() -> None:
    """
    Put PPMO into rl-zoo's tables, once.

    :raises ImportError: if rl-zoo is not installed
    """
    try:
        import rl_zoo3.exp_manager
        import rl_zoo3.hyperparams_opt
        import rl_zoo3.train
        import rl_zoo3.utils
    except ImportError as error:
        raise MissingExtraError(f'this command needs rl-zoo: pip install "sb3-distill[zoo]" ({error})') from error
    rl_zoo3.utils.ALGOS[ALGORITHM] = PPMO
    rl_zoo3.hyperparams_opt.HYPERPARAMS_SAMPLER[ALGORITHM] = sample_hyperparameters
    rl_zoo3.hyperparams_opt.HYPERPARAMS_CONVERTER[ALGORITHM] = convert_hyperparameters  # type: ignore[assignment]
    rl_zoo3.train.ExperimentManager = _with_native_envs(rl_zoo3.exp_manager)  # type: ignore[attr-defined]


def run(command: str, arguments: Sequence[str]) -> None:
    """
    Run one of the zoo's programs.

    :param command: a key of ``COMMANDS``
    :param arguments: the zoo's; ``--algo ppmo`` is the default, and its configuration file this package's
    :raises ImportError: if rl-zoo is not installed
    :raises SystemExit: as the zoo's program does
    """
    register()
    module, _ = COMMANDS[command]
    arguments = list(arguments)
    env_id = _value(arguments, "--env")
    if env_id is not None:
        import_plugin(env_id)
    if command in ("train", "enjoy") and env_id is not None and not _given(arguments, "--gym-packages"):
        check_environment(env_id)
    if command in ("train", "enjoy") and not _given(arguments, "--algo"):
        arguments = ["--algo", ALGORITHM, *arguments]
    if command == "train" and _value(arguments, "--algo") == ALGORITHM and not _given(arguments, "--conf-file", "-conf"):
        arguments += ["--conf-file", config_file()]
    before, sys.argv = sys.argv, [f"sb3-distill {command}", *arguments]
    try:
        if command in ("train", "enjoy"):
            getattr(importlib.import_module(module), command)()
        else:
            sys.modules.pop(module, None)  # it is run anew, as a program
            runpy.run_module(module, run_name="__main__")
    finally:
        sys.argv = before


def sample_hyperparameters(trial: Any, n_actions: int, n_envs: int, additional_args: dict[str, Any]) -> dict[str, Any]:
    """
    The search space of ``sb3-distill train -optimize``.

    :param trial: of optuna
    :param n_actions: dimensions of a continuous action; not used
    :param n_envs: number of environments; not used
    :param additional_args: of the zoo; not used
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


def convert_hyperparameters(sampled: dict[str, Any]) -> dict[str, Any]:
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


def _with_native_envs(exp_manager: Any) -> Any:
    """The zoo's experiment manager, made to step an environment natively where nothing speaks against it."""

    class Manager(exp_manager.ExperimentManager):  # type: ignore[misc]
        vec_env_class: Any

        def _preprocess_hyperparams(self, hyperparams: dict[str, Any]) -> Any:
            if self.algo == ALGORITHM:
                hyperparams = {key: _numeric(key, value) for key, value in hyperparams.items()}
            result = super()._preprocess_hyperparams(hyperparams)
            if self.algo == ALGORITHM:
                check_hyperparameters(result[0], f"{self.config} or in -params")
            if self._eval_env_kwargs_args is None:
                # The zoo gives `env_kwargs` of a YAML file to the training environment alone.
                self.eval_env_kwargs = self.env_kwargs
            return result

        def create_envs(self, n_envs: int, eval_env: bool = False, no_log: bool = False) -> VecEnv:
            env_id = self.env_name.gym_id
            plain = self.env_wrapper is None and not self.monitor_kwargs and self.vec_env_class is DummyVecEnv
            if not (self.algo == ALGORITHM and plain and has_native_vector_env(env_id)):
                return self._create_with_workers(env_id, n_envs, eval_env, no_log)

            def native(*_: Any, seed: int | None, env_kwargs: dict[str, Any], monitor_dir: str | None, **__: Any) -> VecEnv:
                env = VecMonitor(make_native(env_id, n_envs, env_kwargs), monitor_dir and f"{monitor_dir}/0")
                env.seed(seed)
                return env

            make_vec_env, exp_manager.make_vec_env = exp_manager.make_vec_env, native
            try:
                return super().create_envs(n_envs, eval_env, no_log)  # type: ignore[no-any-return]
            finally:
                exp_manager.make_vec_env = make_vec_env

        def _create_with_workers(self, env_id: str, n_envs: int, *args: Any) -> VecEnv:
            """As the zoo, with its default class replaced by the fastest one."""
            given = self.vec_env_class
            if self.algo == ALGORITHM and given is DummyVecEnv:
                self.vec_env_class = fastest_class(env_id, n_envs) or given
            try:
                return super().create_envs(n_envs, *args)  # type: ignore[no-any-return]
            finally:
                self.vec_env_class = given

    return Manager


def _numeric(key: str, value: Any) -> Any:
    """YAML reads ``1e-3`` as text; and the zoo takes any text for a schedule, as linear."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        pass
    if key in ("learning_rate", "clip_range", "clip_range_vf"):
        schedule(value)
    return value


def literal(text: str) -> Any:
    """A value as it is written on the command line: a number, a list, ``dict(net_arch=[8])``, True, ... or a text."""
    try:
        node = ast.parse(text, mode="eval").body
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
            return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
        return ast.literal_eval(node)
    except (ValueError, SyntaxError):
        return text


def _given(arguments: Sequence[str], *names: str) -> bool:
    return any(argument.split("=")[0] in names for argument in arguments)


def _value(arguments: Sequence[str], name: str) -> str | None:
    for i, argument in enumerate(arguments):
        if argument == name and i + 1 < len(arguments):
            return arguments[i + 1]
        if argument.startswith(f"{name}="):
            return argument.split("=", 1)[1]
    return None


def check_hyperparameters(hyperparameters: Mapping[str, Any], source: str, known: Collection[str] | None = None) -> None:
    """
    :param hyperparameters: arguments by name
    :param source: where they were read, for the message
    :param known: the names that there are; ``None``: those of ``PPMO``
    :raises ValueError: if one is unknown, with the nearest known one
    """
    known = inspect.signature(PPMO).parameters if known is None else known
    for name in hyperparameters:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ArgumentError(f"unknown key {name!r} in {source}" + (f", did you mean {near[0]!r}?" if near else ""))


def check_environment(env_id: str) -> None:
    """
    :param env_id: a Gymnasium id
    :raises ValueError: if it is not registered, with what to install if that is known
    """
    if env_id in gym.registry:
        return
    extras = {"dm_control/": "dm-control", "ALE/": "atari"}
    near = difflib.get_close_matches(env_id, gym.registry, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    hint = next(
        (f'; pip install "sb3-distill[{extra}]"' for prefix, extra in extras.items() if env_id.startswith(prefix)), hint
    )
    raise ArgumentError(f"the environment {env_id!r} is not registered{hint}")
