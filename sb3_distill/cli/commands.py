"""The commands for datasets that are there: list, show, evaluate, teach and watch."""

import argparse
from pathlib import Path

from sb3_distill.cli.learning.data import add_data_arguments, evaluate_on_data
from sb3_distill.cli.parsing import AddCommand, add_device, add_gym_packages, path_beside, seed
from sb3_distill.cli.printing import kind_of, print_evaluations, print_table, score_of, visible
from sb3_distill.cli.showing import show_file
from sb3_distill.dataset.file import find, shipped_sets
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.grids import STORED
from sb3_distill.evaluation.protocol import evaluate_grid, evaluate_learners
from sb3_distill.evaluation.result import Evaluation
from sb3_distill.inner_loop.loop import INNER_LOOPS
from sb3_distill.teaching.as_zip import ALGORITHMS, TaughtZip, teach_as_zip
from sb3_distill.typing import Json

N_EPISODES = 100
"""Episodes of each learner, unless the user says another number."""
DATASET = "a .safetensors file, or the name of a shipped set"


def add_dataset_commands(add: AddCommand) -> None:
    """
    :param add: adds a command
    """
    add("datasets", _datasets, "List the datasets that come with the package.")

    command = add("show", show_file, "Draw a dataset and print what its file says, or that of recorded play or an ensemble.")
    command.add_argument("dataset", help=f"{DATASET}; or the file of a recording or an ensemble")
    command.add_argument("-o", "--output", type=Path, help="the picture of a dataset (default: <name>.png in this folder)")

    about = "Teach fresh learners and let each play (the protocol of the paper's Table 1), or predict --data."
    command = add("evaluate", _evaluate, about)
    command.add_argument("dataset", help=DATASET)
    command.add_argument("--learners", type=int, default=100, help="number of fresh learners (default: 100)")
    command.add_argument("--episodes", type=int, help=f"episodes of each (default: {N_EPISODES})")
    command.add_argument("--deterministic", action="store_true", help="greedy actions only (default: sampled and greedy)")
    command.add_argument("--seed", type=seed, default=0, help="of learners, actions and environments (default: 0)")
    command.add_argument("--learner-distribution", help="which learners (default: the dataset's policy as SB3 starts it)")
    command.add_argument(
        "--grid",
        help=f"evaluate on each cell of a grid: table1, {', '.join(STORED)}, or a JSON file of learner distributions by name",
    )
    add_device(command)
    command.add_argument("-o", "--output", type=Path, help="heat map of the grid (default: <name>-<grid>.png in this folder)")
    _add_inner_loop(command)
    add_data_arguments(command)
    add_gym_packages(command)

    command = add("teach", _teach, "Teach one policy and save it as a plain Stable-Baselines3 zip.")
    command.add_argument("dataset", help=DATASET)
    command.add_argument("--algo", default="ppo", choices=ALGORITHMS, help="algorithm of the zip (default: ppo)")
    command.add_argument("-o", "--output", type=Path, default=Path("agent.zip"), help="the zip (default: agent.zip)")
    command.add_argument("--seed", type=seed, default=None, help="of the initialisation")
    _add_inner_loop(command)
    add_gym_packages(command)

    command = add("watch", _watch, "Teach a fresh policy and film an episode of it.")
    command.add_argument("dataset", help=DATASET)
    command.add_argument("-o", "--output", type=Path, help="the video, *.gif or *.mp4 (default: <name>.gif in this folder)")
    command.add_argument("--deterministic", action="store_true", help="greedy actions (default: sampled)")
    command.add_argument("--seed", type=seed, default=0, help="of the policy, its actions and the environment (default: 0)")
    command.add_argument("--max-steps", type=int, default=2_000, help="end the video after so many steps (default: 2000)")
    _add_inner_loop(command)
    add_gym_packages(command)


def _add_inner_loop(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--inner-loop", choices=list(INNER_LOOPS), help="teach by another inner loop (default: the dataset's)"
    )


def _dataset(options: argparse.Namespace) -> SyntheticDataset:
    dataset = SyntheticDataset.load(options.dataset)
    return dataset if options.inner_loop is None else dataset.with_inner_loop(options.inner_loop)


def _datasets(options: argparse.Namespace) -> list[Json]:
    rows: list[Json] = []
    for name in shipped_sets():
        dataset = SyntheticDataset.load(name)
        rows.append(
            {
                "name": name,
                "k": dataset.n_instances,
                "bytes": find(name).stat().st_size,
                "inner_loop": dataset.info.inner_loop,
                "kind": kind_of(dataset),
                "scores": dataset.info.scores,
            }
        )
    if not options.json:
        columns = ("name", "k", "inner loop", "sampled", "greedy", "size")
        print_table("Shipped datasets", columns, map(_row, rows), left=columns, whole=["name"])
    return rows


def _row(entry: Json) -> list[str]:
    scores = [score_of(entry["scores"].get(kind, {})) for kind in ("sampled", "greedy")]
    return [entry["name"], str(entry["k"]), entry["kind"], *scores, f"{entry['bytes'] / 1000:.1f} kB"]


def _evaluate(options: argparse.Namespace) -> Json:
    dataset = _dataset(options)
    if "n_examples" in dataset.info.data or options.data is not None:
        return evaluate_on_data(dataset, options)
    if options.module is not None:
        raise ArgumentError("--module is for sets of labelled data: leave it out")
    options.episodes = N_EPISODES if options.episodes is None else options.episodes
    if options.grid is not None and options.learner_distribution is not None:
        raise ArgumentError("--grid says which learners: leave out --learner-distribution")
    evaluations = _evaluate_kinds(dataset, options) if options.grid is None else _evaluate_cells(dataset, options)
    picture = None
    if options.grid is not None and (options.output is not None or not options.json):
        from sb3_distill.report.pictures import heat_map

        picture = path_beside(options.dataset, options.output, ".png", f"-{Path(options.grid).stem}")
        heat_map(evaluations, picture, options.dataset)
    if not options.json:
        kind = f"{kind_of(dataset)}, " + ("greedy, " if options.deterministic and options.grid else "")
        title = f"{options.dataset}: {kind}{options.learners} fresh learners, {options.episodes} episodes each"
        print_evaluations(title, evaluations)
        if picture is not None:
            print(f"picture: {visible(str(picture))}")
    return {name: evaluation.summary() for name, evaluation in evaluations.items()}


def _evaluate_kinds(dataset: SyntheticDataset, options: argparse.Namespace) -> dict[str, Evaluation]:
    """Sampled and greedy actions, or greedy ones only."""
    kinds = ["greedy"] if options.deterministic else ["sampled", "greedy"]
    return {
        kind: evaluate_learners(
            dataset, options.learners, options.episodes, kind == "greedy", options.learner_distribution,
            seed=options.seed, progress_bar=not options.json, device=options.device, allow_imports=options.gym_packages,
        )
        for kind in kinds
    }  # fmt: skip


def _evaluate_cells(dataset: SyntheticDataset, options: argparse.Namespace) -> dict[str, Evaluation]:
    return evaluate_grid(
        dataset, options.grid, options.learners, options.episodes, options.deterministic,
        seed=options.seed, progress_bar=not options.json, device=options.device, allow_imports=options.gym_packages,
    )  # fmt: skip


def _teach(options: argparse.Namespace) -> Json:
    dataset = _dataset(options)
    taught = teach_as_zip(dataset, options.algo, options.output, options.seed)
    notes = _notes_on(taught, options.algo)
    if not options.json:
        print("\n".join([f"{taught.path}: {options.algo.upper()}.load opens it", *notes]))
    return {"agent": str(taught.path), "algorithm": options.algo, "notes": notes}


def _notes_on(taught: TaughtZip, algo: str) -> list[str]:
    notes = []
    if taught.buffer_size is not None:
        size = f"{taught.buffer_size:,}"
        notes.append(f"its replay buffer is for {size} transitions: load(..., buffer_size=...) for another")
    if taught.is_folded:
        notes.append("the normalisation is part of the first layer; its clipping is lost")
    if taught.statistics is not None:
        notes.append(f"the agent needs the normalisation in {taught.statistics}: VecNormalize.load")
    if taught.is_of_another_network:
        notes.append(f"the set was distilled for another network than that of {algo}: evaluate before use")
    return notes


def _watch(options: argparse.Namespace) -> Json:
    from sb3_distill.report.video import watch

    output = path_beside(options.dataset, options.output, ".gif")
    dataset = _dataset(options)
    total, n_frames = watch(
        dataset, output, options.seed, options.deterministic, options.max_steps, allow_imports=options.gym_packages
    )
    if not options.json:
        print(f"{visible(str(output))}: {n_frames} frames, return {total:g}")
    return {"video": str(output), "frames": n_frames, "return": total}
