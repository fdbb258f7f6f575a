"""The command line: ``sb3-distill``."""

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence

from sb3_distill.cli import zoo
from sb3_distill.cli.commands import add_dataset_commands
from sb3_distill.cli.completion import add_completion
from sb3_distill.cli.learning.data import add_data_commands
from sb3_distill.cli.learning.distil import add_learning_commands
from sb3_distill.cli.learning.record import add_recording_command
from sb3_distill.cli.mistakes import MISTAKES, interruptions
from sb3_distill.cli.parsing import Parser, Run
from sb3_distill.cli.pipes import CLOSED_PIPE, ClosedPipe, quiet_pipe
from sb3_distill.cli.printing import visible
from sb3_distill.cli.studies.ensemble import add_ensemble_command
from sb3_distill.cli.studies.generalisation import add_study_commands
from sb3_distill.cli.studies.landscape import add_landscape_command
from sb3_distill.cli.studies.search import add_search_command
from sb3_distill.dataset.allowed import import_modules
from sb3_distill.dataset.info import library_versions


def main(arguments: Sequence[str] | None = None) -> int:
    """
    :param arguments: arguments of the command line; those of the process if ``None``
    :return: exit status: 0, or 1 after an error. A user's mistake is told in one line (with ``SB3_DISTILL_TRACEBACK`` set
        it is raised), a bug by its traceback; 130 after Ctrl-C and 143 after SIGTERM, told in one line; 141 where nobody
        reads the output any more, which is no error
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    with interruptions() as signals:
        sentence = None
        try:
            status = _status(arguments)
        except KeyboardInterrupt as interruption:
            status, sentence = 128 + signal.SIGINT, str(interruption) or "nothing more was written"
        if signals and status == 0 and arguments[0] == "train":  # rl-zoo ends as if nothing had happened
            sentence = "the agent was saved"
        if sentence is not None:  # told only now that progress bars have written their last
            print(f"interrupted: {sentence}", file=sys.stderr)
    return 128 + signals[0] if signals else status


def _status(arguments: list[str]) -> int:
    """Run a command; 0, or 1 after an error."""
    try:
        with quiet_pipe():
            _run(arguments)
    except ClosedPipe:
        return CLOSED_PIPE
    except MISTAKES as error:
        if os.environ.get("SB3_DISTILL_TRACEBACK"):
            raise
        print(f"error: {visible(' '.join(str(error).split())) or type(error).__name__}", file=sys.stderr)
        return 1
    except Exception:
        print("\n".join(map(visible, traceback.format_exc().splitlines())), file=sys.stderr)
        return 1
    return 0


def _run(arguments: list[str]) -> None:
    if arguments and arguments[0] in zoo.COMMANDS:
        zoo.run(arguments[0], arguments[1:])
        return
    parser = _parser()
    if not arguments:
        parser.print_help()
        return
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        options.parser.refuse(unknown)
    if options.run is None:
        parser.error("a COMMAND is needed")
    import_modules(getattr(options, "gym_packages", []))
    result = options.run(options)
    if options.json:
        print(json.dumps(result, indent=2))


def _parser() -> Parser:
    parser = Parser(
        prog="sb3-distill", description="Distilled reinforcement-learning tasks: list, show, evaluate and teach them."
    )
    parser.add_argument(
        "--version", action="version", version=f"sb3-distill {library_versions().get('sb3-distill', 'unknown')}"
    )
    parser.set_defaults(run=None, parser=parser)
    commands = parser.add_subparsers(metavar="COMMAND")

    def add(name: str, run: Run, summary: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--json", action="store_true", help="print JSON instead of tables")
        command.set_defaults(run=run, parser=command)
        return command

    for name, (module, summary) in zoo.COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False, description=f"Arguments are those of {module}.")
    add_dataset_commands(add)
    add_data_commands(add)
    add_learning_commands(add)
    add_recording_command(add)
    add_study_commands(add)
    add_ensemble_command(add)
    add_landscape_command(add)
    add_search_command(add)
    add_completion(add, commands.choices)
    return parser


if __name__ == "__main__":
    sys.exit(main())
