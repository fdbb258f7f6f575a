"""Arguments of the command line, and values that are written there."""

import argparse
import ast
import difflib
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from numbers import Number
from pathlib import Path
from typing import NoReturn, TypeAlias

from sb3_distill.arguments import SEEDS
from sb3_distill.errors import ArgumentError
from sb3_distill.ppmo import PPMO
from sb3_distill.typing import Json

Run: TypeAlias = Callable[[argparse.Namespace], object]
"""Runs a command; the result is what ``--json`` prints."""
AddCommand: TypeAlias = Callable[[str, Run, str], argparse.ArgumentParser]
"""Adds a command: its name, what runs it, and a summary."""
TEXTS = ("initial_dataset", "encoder_from", "tensorboard_log")
"""Arguments of algorithms that are names or paths."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors name the nearest command, choice or option."""

    def error(self, message: str) -> NoReturn:
        """
        :raises SystemExit: always, with status 2
        """
        if wrong := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            message += did_you_mean(wrong[1], re.findall(r"[\w.-]+", wrong[2]))
        super().error(message)

    def refuse(self, arguments: Sequence[str]) -> NoReturn:
        """
        :param arguments: arguments that no parser takes
        :raises SystemExit: always, with status 2
        """
        hints = (did_you_mean(name.split("=")[0], self._option_string_actions) for name in arguments if name[:1] == "-")
        self.error(f"unrecognized arguments: {' '.join(arguments)}{next(filter(None, hints), '')}")


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """
    :param name: a name that there is not
    :param names: the names that there are
    :return: a question with the nearest one, to be put behind an error; empty if none is near
    """
    near = difflib.get_close_matches(name, list(names), n=1)
    return f", did you mean {near[0]!r}?" if near else ""


def positive(text: str) -> int:
    """
    :raises ArgumentTypeError, ValueError: if the text is no whole number from 1
    """
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def seed(text: str) -> int:
    """
    :raises ArgumentTypeError, ValueError: if the text is no whole number that PyTorch takes
    """
    number = int(text)
    if number not in SEEDS:
        raise argparse.ArgumentTypeError(f"must be from {SEEDS.start} to {SEEDS.stop - 1}, got {number}")
    return number


def levels_of(text: str) -> list[int]:
    """
    :param text: numbers, separated by commas
    :raises ValueError: if one is no whole number
    """
    try:
        return [int(level) for level in text.split(",")]
    except ValueError as error:
        raise ArgumentError(f"--levels are numbers, 4,3,2,1,0 ({error})") from None


def path_beside(dataset: str, output: Path | None, ending: str, suffix: str = "") -> Path:
    """
    :param dataset: a path, or the name of a shipped set
    :param output: path that the user wishes, if any
    :param ending: ending of the file, where the user gives none
    :param suffix: what the name of the file has behind that of the dataset
    :return: the path of a file, by default named after the dataset, in this folder
    :raises ValueError: if the user's path has no name
    """
    name = Path(dataset).stem if dataset.endswith(".safetensors") else dataset.replace("/", "-")
    path = Path(f"{name}{suffix}{ending}") if output is None else output
    if not path.name:
        raise ArgumentError(f"the output must be a file, got {str(path)!r}")
    return path if path.suffix else path.with_name(f"{path.name}{ending}")


def add_params(command: argparse.ArgumentParser, algorithm: str) -> None:
    """
    :param command: gets the argument ``-params``
    :param algorithm: name of the algorithm, for the help
    """
    about = f"arguments of {algorithm}, as rl-zoo takes them"
    command.add_argument("-params", "--hyperparams", nargs="*", default=[], metavar="NAME:VALUE", help=about)


def add_device(command: argparse.ArgumentParser) -> None:
    """
    :param command: gets the argument ``--device``
    """
    about = "of the learners: cpu, or auto for a GPU if there is one (default: cpu)"
    command.add_argument("--device", default="cpu", help=about)


def add_gym_packages(command: argparse.ArgumentParser) -> None:
    """
    :param command: gets the argument ``--gym-packages``, as rl-zoo's programs have it
    """
    about = "modules to import, which register environments; what they hold is trusted when a dataset names it"
    command.add_argument("--gym-packages", nargs="+", default=[], metavar="MODULE", help=about)


def read_params(pairs: list[str], reserved: set[str], algorithm: type, names: Collection[str] | None = None) -> Json:
    """
    :param pairs: values of ``-params``, each ``name:value``
    :param reserved: names that other arguments of the command stand for
    :param algorithm: class that takes the values
    :param names: names of its arguments; ``None`` for those of its constructor
    :return: values by name
    :raises ValueError: for an unknown or a reserved name, or a value that is no number where one is needed
    """
    try:
        params = {name: literal(value) for name, value in (pair.split(":", 1) for pair in pairs)}
    except ValueError as error:
        raise ArgumentError(f"-params are name:value ({error})") from None
    check_hyperparameters(params, "-params", names, algorithm)
    if taken := sorted(reserved & set(params)):
        raise ArgumentError(f"-params cannot say {taken[0]}: the command has its own way to")
    return params


def literal(text: str) -> object:
    """A value as it is written on the command line: a number, a list, ``dict(net_arch=[8])``, True, ... or a text."""
    try:
        node = ast.parse(text, mode="eval").body
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
            return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
        return ast.literal_eval(node)
    except (ValueError, SyntaxError, TypeError):  # the last one: an unhashable key
        return text


def check_hyperparameters(
    hyperparameters: Mapping[str, object],
    source: str,
    names: Collection[str] | None = None,
    algorithm: type = PPMO,
) -> None:
    """
    :param hyperparameters: arguments by name
    :param source: where they were read, for the message
    :param names: names of the arguments that there are; ``None``: those of the constructor
    :param algorithm: class that takes them
    :raises ValueError: if one is unknown, with the nearest name that there is; or if its value is of a wrong kind that the
        algorithm does not notice itself
    """
    parameters = inspect.signature(algorithm).parameters
    names = [name for name in parameters if name[0] != "_"] if names is None else names
    for name, value in hyperparameters.items():
        if name not in names:
            raise ArgumentError(f"unknown key {name!r} in {source}{did_you_mean(name, names)}")
        _check_kind(name, value, parameters[name].default if name in parameters else None)


def _check_kind(name: str, value: object, default: object) -> None:
    """What an algorithm would stumble on later; texts in place of numbers it refuses itself, for some are schedules."""
    if isinstance(default, Number) and not isinstance(default, bool):
        if not (isinstance(value, (Number, str)) or callable(value)):
            raise ArgumentError(f"`{name}` must be a number, got {value!r}")
    if name in TEXTS and not (value is None or isinstance(value, str)):
        raise ArgumentError(f"`{name}` must be a name or a path, got {value!r}")
