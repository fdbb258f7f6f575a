"""The zip of an SB3 agent on the command line: what ``clone`` and ``record`` read."""

import argparse
from pathlib import Path

from sb3_distill.dagger.expert import statistics_beside


def add_statistics(command: argparse.ArgumentParser) -> None:
    """
    :param command: gets ``--vecnormalize``
    """
    command.add_argument(
        "--vecnormalize",
        type=Path,
        help="statistics of its observations, or none (default: a vecnormalize.pkl that lies with the zip, a pickle too)",
    )


def statistics_of(agent: Path, options: argparse.Namespace) -> Path | None:
    """
    :param agent: path of the zip
    :param options: arguments of the command, with ``vecnormalize`` and ``env``
    :return: path of the agent's statistics; ``None`` for none
    """
    if str(options.vecnormalize) == "none":
        return None
    given: Path | None = options.vecnormalize
    return given or statistics_beside(agent, options.env)
