"""``sb3-distill landscape``: real and distilled objective around a learner, beside controls."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from sb3_distill.cli.parsing import AddCommand, add_device, path_beside, positive, seed
from sb3_distill.cli.printing import print_table, visible
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.landscape.figures.compare import N_CONTROLS
from sb3_distill.landscape.names import Directions, check_directions, check_size
from sb3_distill.landscape.study import Keep, around, landscape_report
from sb3_distill.typing import Json
from sb3_distill.whole_files import check_writable


def add_landscape_command(add: AddCommand) -> None:
    """
    :param add: adds a command
    """
    about = "Draw the return and the distilled loss around a taught network, and say what the one tells of the other."
    command = add("landscape", _landscape, about)
    command.add_argument("dataset", help="a .safetensors file, or the name of a shipped set")
    command.add_argument(
        "--rl-timesteps", type=positive, help="train a network from the same start by PPO, for so many steps (default: none)"
    )
    command.add_argument("--planes", type=positive, default=5, help="planes of each kind (default: 5)")
    command.add_argument("--size", type=int, default=21, help="points along each side of a plane (default: 21)")
    command.add_argument("--episodes", type=positive, default=16, help="episodes of each point (default: 16)")
    command.add_argument("--seeds", type=positive, default=3, help="learners, each with its own RL and planes (default: 3)")
    command.add_argument(
        "--controls", action="store_true", help="the same figures of shuffled and random labels, real states and untrained X"
    )
    command.add_argument(
        "--directions",
        choices=get_args(Directions),
        help="directions of the picture's plane (default: step-rl, without RL random)",
    )
    command.add_argument("--folder", type=Path, help="keep RL and figures there; a study that was cut off goes on")
    command.add_argument("--seed", type=seed, default=0, help="of the first learner (default: 0)")
    add_device(command)
    command.add_argument("-o", "--output", type=Path, help="the picture (default: <name>-landscape.png in this folder)")


def _landscape(options: argparse.Namespace) -> Json:
    check_size(options.size)
    directions: Directions = options.directions or ("step-rl" if options.rl_timesteps else "random")
    check_directions(directions, options.planes, options.rl_timesteps is not None)
    picture = None
    if options.output is not None or not options.json:
        picture = path_beside(options.dataset, options.output, ".png", "-landscape")
        check_writable(picture)
    dataset = SyntheticDataset.load(options.dataset)
    n_controls = N_CONTROLS if options.controls else 0
    with TemporaryDirectory() as scratch:  # so that the picture needs no second training
        folder = Path(scratch) if options.folder is None else options.folder
        report = landscape_report(
            dataset, options.rl_timesteps, options.seeds, options.size, options.episodes, options.planes, n_controls,
            options.seed, folder=folder, progress_bar=not options.json, device=options.device, name=options.dataset,
        )  # fmt: skip
        if picture is not None:
            from sb3_distill.landscape.pictures import two_by_two

            keep = Keep.of(folder, dataset, options.rl_timesteps, None, ())
            place = around(dataset, options.seed, options.rl_timesteps, directions, keep=keep, device=options.device)
            two_by_two(place, options.size, options.episodes, path=picture)
    if not options.json:
        columns, rows = report.table()
        print_table(f"{options.dataset}: {report.facts()['protocol']}; 95 % intervals over seeds", columns, rows, left=columns)
        print(f"picture: {visible(str(picture))}")
    return {**report.summary(), "picture": None if picture is None else str(picture)}
