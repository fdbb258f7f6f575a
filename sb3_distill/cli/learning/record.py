"""``sb3-distill record``: play becomes a recording."""

import argparse
from pathlib import Path

import torch as th

from sb3_distill.cli.learning.agent import add_statistics, statistics_of
from sb3_distill.cli.mistakes import interruption_says
from sb3_distill.cli.parsing import AddCommand, add_gym_packages, positive, seed
from sb3_distill.cli.printing import print_table, visible
from sb3_distill.dagger.expert import Expert
from sb3_distill.errors import ArgumentError
from sb3_distill.offline.file import check_output
from sb3_distill.offline.players import PlaySource, name_of
from sb3_distill.offline.recorder import N_STEPS, record
from sb3_distill.offline.recording import Recording
from sb3_distill.typing import Json

MINARI = "minari:"
"""What a Minari dataset begins with on the command line."""


def add_recording_command(add: AddCommand) -> None:
    """
    :param add: adds a command
    """
    command = add("record", _record, "Let an agent, a dataset's learners or chance play, and keep what happens as data.")
    command.add_argument(
        "source",
        help="the zip of an SB3 agent (a pickle: only what you trust), a dataset (a .safetensors file or the name of a "
        f"shipped set), random, or {MINARI}<id> for a Minari dataset on this computer (extra: offline)",
    )
    command.add_argument("--env", help="Gymnasium id of the environment (default: that of the dataset)")
    command.add_argument("-o", "--output", type=Path, required=True, help="the recording, *.safetensors")
    amount = command.add_mutually_exclusive_group()
    amount.add_argument("--steps", type=positive, help=f"of all environments together (default: {N_STEPS})")
    amount.add_argument("--episodes", type=positive, help="whole episodes instead of steps")
    command.add_argument("--deterministic", action="store_true", help="greedy actions (default: sampled)")
    command.add_argument(
        "--noise",
        type=float,
        default=0.0,
        help="standard deviation, as a share of half the range of an action; probability of a random action where actions are "
        "choices (default: 0)",
    )
    command.add_argument("--learners", type=positive, help="fresh learners of a dataset (default: one for each environment)")
    command.add_argument("--n-envs", type=positive, default=8, help="number of environments (default: 8)")
    command.add_argument("--seed", type=seed, default=0, help="of everything (default: 0)")
    command.add_argument("--algo", help="the algorithm that saved the agent (default: seen from its policy)")
    add_statistics(command)
    command.add_argument("--num-threads", type=positive, default=1, help="of PyTorch (default: 1, fastest for small networks)")
    add_gym_packages(command)


def _record(options: argparse.Namespace) -> Json:
    check_output(options.output)
    th.set_num_threads(options.num_threads)
    recording = _recording(options)
    recording.save(options.output)
    summary = summary_of(options.output, recording)
    if not options.json:
        print_recording(options.output, recording)
        print(f"sb3-distill distil --data {visible(str(options.output))} -o set.safetensors makes a dataset of it")
    return summary


def summary_of(path: Path, recording: Recording) -> Json:
    """
    :param path: path of its file
    :param recording: recorded play
    :return: what ``--json`` prints of it
    """
    returns = recording.returns()
    return {
        "recording": str(path),
        "env_id": recording.origin.env_id,
        "steps": len(recording),
        "episodes": recording.n_episodes,
        "finished": len(returns),
        "mean_return": float(returns.mean()) if len(returns) else None,
        "std_return": float(returns.std()) if len(returns) else None,
        "sources": [source.to_json() for source in recording.sources],
    }


def print_recording(path: Path, recording: Recording) -> None:
    """
    :param path: path of its file
    :param recording: recorded play
    """
    rows = [[name, str(value)] for name, value in recording.facts().items()]
    print_table(f"{path}: recorded play", ["", " "], rows, left=["", " "])


def _recording(options: argparse.Namespace) -> Recording:
    if options.source.startswith(MINARI):
        if options.steps is not None:
            raise ArgumentError("a Minari dataset is read by episodes: use --episodes")
        return Recording.from_minari(options.source.removeprefix(MINARI), options.episodes, options.env)
    source: PlaySource = options.source
    if Path(options.source).suffix == ".zip":
        source = _agent(options)
    elif options.vecnormalize is not None or options.algo is not None:
        raise ArgumentError("--vecnormalize and --algo belong to the zip of an agent")
    with interruption_says("nothing was written"):
        return record(
            source,
            options.env,
            options.steps,
            options.episodes,
            options.deterministic,
            options.noise,
            options.n_envs,
            options.seed,
            progress_bar=not options.json,
            n_learners=options.learners,
            name=name_of(options.source),
        )


def _agent(options: argparse.Namespace) -> Expert:
    return Expert.load(options.source, statistics_of(Path(options.source), options) or "none", options.algo)
