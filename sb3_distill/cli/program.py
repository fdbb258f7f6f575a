"""The command line: ``sb3-distill``."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
from rich.console import Console
from rich.table import Table

from sb3_distill.cli import zoo
from sb3_distill.cli.distil import add_learning_commands, kind_of
from sb3_distill.dataset.file import find, shipped_sets
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.protocol import evaluate_learners
from sb3_distill.evaluation.result import Evaluation
from sb3_distill.spaces.checks import SpacesOnly, sees_images
from sb3_distill.teaching.distilled_policy import DistilledPolicy
from sb3_distill.teaching.folding import can_fold

IMAGES_KEPT = 10_000
EXPECTED_ERRORS = (
    ValueError,
    TypeError,
    ImportError,
    NotImplementedError,
    AssertionError,
    OSError,
    FloatingPointError,
    gym.error.Error,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    :param arguments: of the command line; those of the process if ``None``
    :return: exit status: 0, or 1 after an error, which is told in one line
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if arguments and arguments[0] in zoo.COMMANDS:
            zoo.run(arguments[0], arguments[1:])
            return 0
        options = _parser().parse_args(arguments)
        result = options.run(options)
    except Exception as error:
        if os.environ.get("SB3_DISTILL_TRACEBACK"):
            raise
        text = " ".join(str(error).split())
        if not isinstance(error, EXPECTED_ERRORS) or not text:
            text = f"{type(error).__name__}: {text} (SB3_DISTILL_TRACEBACK=1 shows where)"
        print(f"error: {text}", file=sys.stderr)
        return 1
    if result is not None and options.json:
        print(json.dumps(result, indent=2))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sb3-distill", description="Distilled reinforcement-learning tasks: list, show, evaluate and teach them."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Any, summary: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--json", action="store_true", help="print JSON instead of tables")
        command.set_defaults(run=run)
        return command

    for name, (module, summary) in zoo.COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False, description=f"Arguments are those of {module}.")

    add("datasets", _datasets, "List the datasets that come with the package.")
    dataset_help = "a .safetensors file, or the name of a shipped set"

    command = add("show", _show, "Draw a dataset and print what its file says.")
    command.add_argument("dataset", help=dataset_help)
    command.add_argument("-o", "--output", type=Path, help="the picture (default: <name>.png in this folder)")

    command = add("evaluate", _evaluate, "Teach fresh learners and let each play (the protocol of the paper's Table 1).")
    command.add_argument("dataset", help=dataset_help)
    command.add_argument("--learners", type=int, default=100, help="number of fresh learners (default: 100)")
    command.add_argument("--episodes", type=int, default=100, help="episodes of each (default: 100)")
    command.add_argument("--deterministic", action="store_true", help="greedy actions only (default: sampled and greedy)")
    command.add_argument("--seed", type=int, default=0, help="of learners, actions and environments (default: 0)")
    command.add_argument("--learner-distribution", help="which learners (default: the dataset's policy as SB3 starts it)")
    command.add_argument(
        "--grid", help="evaluate on each cell of a grid: table1, random64, or a JSON file of learner distributions by name"
    )
    command.add_argument(
        "--device", default="cpu", help="of the learners: cpu, or auto for a GPU if there is one (default: cpu)"
    )
    command.add_argument("-o", "--output", type=Path, help="heat map of the grid (default: <name>-<grid>.png in this folder)")

    command = add("teach", _teach, "Teach one policy and save it as a plain Stable-Baselines3 zip.")
    command.add_argument("dataset", help=dataset_help)
    command.add_argument(
        "--algo",
        default="ppo",
        choices=["ppo", "a2c", "dqn", "sac", "td3", "ddpg"],
        help="algorithm of the zip (default: ppo)",
    )
    command.add_argument("-o", "--output", type=Path, default=Path("agent.zip"), help="the zip (default: agent.zip)")
    command.add_argument("--seed", type=int, default=None, help="of the initialisation")

    command = add("watch", _watch, "Teach a fresh policy and film an episode of it.")
    command.add_argument("dataset", help=dataset_help)
    command.add_argument("-o", "--output", type=Path, help="the video, *.gif or *.mp4 (default: <name>.gif in this folder)")
    command.add_argument("--deterministic", action="store_true", help="greedy actions (default: sampled)")
    command.add_argument("--seed", type=int, default=0, help="of the policy, its actions and the environment (default: 0)")
    command.add_argument("--max-steps", type=int, default=2_000, help="end the video after so many steps (default: 2000)")

    add_learning_commands(add)
    return parser


def print_evaluations(title: str, evaluations: dict[str, Evaluation]) -> None:
    """
    :param title: of the table
    :param evaluations: one per row, by name
    """
    table = Table(title=title)
    for column in ("", "mean", "sd over learners", "IQM", "95 % interval"):
        table.add_column(column, justify="left" if not column else "right")
    for name, evaluation in evaluations.items():
        low, high = evaluation.iqm_interval()
        table.add_row(
            name, f"{evaluation.mean:.1f}", f"{evaluation.std:.1f}", f"{evaluation.iqm:.1f}", f"{low:.1f} to {high:.1f}"
        )
    Console().print(table)


def _datasets(options: argparse.Namespace) -> Any:
    rows: list[dict[str, Any]] = []
    for name in shipped_sets():
        dataset = SyntheticDataset.load(name)
        size = find(name).stat().st_size
        rows.append(
            {
                "name": name,
                "k": dataset.n_instances,
                "bytes": size,
                "inner_loop": dataset.info.inner_loop,
                "kind": kind_of(dataset),
                "scores": dataset.info.scores,
            }
        )
    if not options.json:
        table = Table(title="Shipped datasets")
        for column in ("name", "k", "inner loop", "sampled", "greedy", "size"):
            table.add_column(column, no_wrap=column == "name")
        for row in rows:
            scores = [row["scores"].get(kind, {}) for kind in ("sampled", "greedy")]
            cells = [f"{score['mean']:.1f} ± {score['std']:.1f}" if score else "-" for score in scores]
            table.add_row(row["name"], str(row["k"]), row["kind"], *cells, f"{row['bytes'] / 1000:.1f} kB")
        Console().print(table)
    return rows


def _show(options: argparse.Namespace) -> Any:
    from sb3_distill.report.pictures import show

    dataset = SyntheticDataset.load(options.dataset)
    output = _beside(options, ".png")
    output.parent.mkdir(parents=True, exist_ok=True)
    show(dataset, output)
    info = {"k": dataset.n_instances, **dataset.info.to_json(), **dataset.inner_loop.rates(dataset.learned)}
    if not options.json:
        table = Table(title=options.dataset, show_header=False)
        for key, value in info.items():
            table.add_row(key, value if isinstance(value, str) else json.dumps(value))
        Console().print(table)
        print(f"picture: {output}")
    return {**info, "picture": str(output)}


def _beside(options: argparse.Namespace, ending: str, suffix: str = "") -> Path:
    """Where a picture goes: as given, or named after the dataset, in this folder."""
    name = options.dataset.replace("/", "-") if not options.dataset.endswith(".safetensors") else Path(options.dataset).stem
    path: Path = options.output or Path(f"{name}{suffix}{ending}")
    return path if path.suffix else path.with_name(f"{path.name}{ending}")


def _evaluate(options: argparse.Namespace) -> Any:
    dataset = SyntheticDataset.load(options.dataset)
    evaluate: Any = partial(
        evaluate_learners, dataset, options.learners, options.episodes, seed=options.seed, device=options.device,
        progress_bar=not options.json,
    )  # fmt: skip
    picture = None
    if options.grid is not None and options.learner_distribution is not None:
        raise ArgumentError("--grid says which learners: leave out --learner-distribution")
    if options.grid is not None:
        evaluations = evaluate(options.deterministic, grid=options.grid)
        if options.output is not None or not options.json:
            from sb3_distill.report.pictures import heat_map

            picture = _beside(options, ".png", f"-{Path(options.grid).stem}")
            heat_map(evaluations, picture, options.dataset)
    else:
        kinds = [True] if options.deterministic else [False, True]
        names = {True: "greedy", False: "sampled"}
        evaluations = {names[kind]: evaluate(kind, learner_distribution=options.learner_distribution) for kind in kinds}
    if not options.json:
        kind = f"{kind_of(dataset)}, " + ("greedy, " if options.deterministic and options.grid else "")
        title = f"{options.dataset}: {kind}{options.learners} fresh learners, {options.episodes} episodes each"
        print_evaluations(title, evaluations)
        if picture is not None:
            print(f"picture: {picture}")
    return {name: evaluation.summary() for name, evaluation in evaluations.items()}


def _teach(options: argparse.Namespace) -> Any:
    import stable_baselines3

    algorithm = getattr(stable_baselines3, options.algo.upper())
    dataset = SyntheticDataset.load(options.dataset)
    actor_critic = options.algo in ("ppo", "a2c")
    # Other algorithms have other policies: their own class of the same alias, with its default network.
    policy_class = None if actor_critic else algorithm.policy_aliases[dataset.info.policy or "MlpPolicy"]
    policy = DistilledPolicy.from_dataset(dataset, policy_class, seed=options.seed)
    notes = []
    normalization = dataset.info.normalization
    folded = normalization is not None and can_fold(policy, normalization)
    kwargs = {}
    if not actor_critic and sees_images(dataset.info.observation_space):
        kwargs["buffer_size"] = IMAGES_KEPT  # SB3's default takes tens of gigabytes at once
        notes.append(f"its replay buffer is for {IMAGES_KEPT:,} transitions: load(..., buffer_size=...) for another")
    env = SpacesOnly(dataset.info.observation_space, dataset.info.action_space)
    model = policy.to_algorithm(algorithm, env, fold_normalization=folded, **kwargs)
    model.save(options.output)
    if folded:
        notes.append("the normalisation is part of the first layer; its clipping is lost")
    elif normalization is not None:
        statistics = options.output.with_name("vecnormalize.pkl")
        model.get_vec_normalize_env().save(statistics)
        notes.append(f"the agent needs the normalisation in {statistics}: VecNormalize.load")
    if not actor_critic and dataset.inner_loop.name == "sgd":
        notes.append(f"the set was distilled for another network than that of {options.algo}: evaluate before use")
    if not options.json:
        print("\n".join([f"{options.output}: {options.algo.upper()}.load opens it", *notes]))
    return {"agent": str(options.output), "algorithm": options.algo, "notes": notes}


def _watch(options: argparse.Namespace) -> Any:
    from sb3_distill.report.video import watch

    output = _beside(options, ".gif")
    dataset = SyntheticDataset.load(options.dataset)
    total, n_frames = watch(dataset, output, options.seed, options.deterministic, options.max_steps)
    if not options.json:
        print(f"{output}: {n_frames} frames, return {total:g}")
    return {"video": str(output), "frames": n_frames, "return": total}


if __name__ == "__main__":
    sys.exit(main())
