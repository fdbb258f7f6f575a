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
import torch as th
from rich.console import Console
from rich.table import Table

from sb3_distill import zoo
from sb3_distill.dagger import clone
from sb3_distill.dataset import SyntheticDataset, find, shipped_sets
from sb3_distill.distilled_policy import DistilledPolicy
from sb3_distill.evaluation import Evaluation, evaluate_learners
from sb3_distill.expert import Expert, statistics_beside
from sb3_distill.folding import can_fold
from sb3_distill.spaces import SpacesOnly

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

    command = add("clone", _clone, "Distil an agent that exists: fresh learners are taught to act as it does.")
    command.add_argument("agent", type=Path, help="a zip that an SB3 algorithm saved (a pickle: only what you trust)")
    command.add_argument("--env", required=True, help="Gymnasium id of the environment")
    command.add_argument("-o", "--output", type=Path, required=True, help="the dataset, *.safetensors")
    command.add_argument("--algo", help="the algorithm that saved it (default: seen from its policy)")
    command.add_argument(
        "--vecnormalize",
        type=Path,
        help="statistics of its observations, or none (default: a vecnormalize.pkl that lies with the zip, a pickle too)",
    )
    command.add_argument("--policy", default="MlpPolicy", help="alias of the learners' policy (default: MlpPolicy)")
    command.add_argument("--learner-distribution", help="which learners (default: the policy as SB3 starts it)")
    command.add_argument("--inner-loop", default="sgd", help="sgd, one gradient step (default), or ridge")
    command.add_argument("--n-instances", type=int, help="number of synthetic instances (default: as PPMO)")
    command.add_argument("--timesteps", type=int, default=500_000, help="of the environments, in all (default: 500000)")
    command.add_argument("--n-envs", type=int, default=64, help="number of environments (default: 64)")
    command.add_argument("--seed", type=int, default=0, help="of everything (default: 0)")
    command.add_argument("--num-threads", type=int, default=1, help="of PyTorch (default: 1, fastest for small networks)")
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


def _kind(dataset: SyntheticDataset) -> str:
    """The inner loop in a few words."""
    settings = dataset.info.inner_loop
    if "n_steps" not in settings:
        return str(settings["name"])
    return f"{settings['name']}, {settings['n_steps']} step{'s' if settings['n_steps'] > 1 else ''}"


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
                "kind": _kind(dataset),
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
    from sb3_distill.plotting import show

    dataset = SyntheticDataset.load(options.dataset)
    output = _picture(options)
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


def _picture(options: argparse.Namespace, suffix: str = "") -> Path:
    """Where a picture goes: as given, or named after the dataset, in this folder."""
    name = options.dataset.replace("/", "-") if not options.dataset.endswith(".safetensors") else Path(options.dataset).stem
    path: Path = options.output or Path(f"{name}{suffix}.png")
    return path if path.suffix else path.with_name(f"{path.name}.png")


def _evaluate(options: argparse.Namespace) -> Any:
    dataset = SyntheticDataset.load(options.dataset)
    evaluate: Any = partial(
        evaluate_learners, dataset, options.learners, options.episodes, seed=options.seed, progress_bar=not options.json
    )
    picture = None
    if options.grid is not None and options.learner_distribution is not None:
        raise ValueError("--grid says which learners: leave out --learner-distribution")
    if options.grid is not None:
        evaluations = evaluate(options.deterministic, grid=options.grid)
        if options.output is not None or not options.json:
            from sb3_distill.plotting import heat_map

            picture = _picture(options, f"-{Path(options.grid).stem}")
            heat_map(evaluations, picture, options.dataset)
    else:
        kinds = [True] if options.deterministic else [False, True]
        names = {True: "greedy", False: "sampled"}
        evaluations = {names[kind]: evaluate(kind, learner_distribution=options.learner_distribution) for kind in kinds}
    if not options.json:
        kind = f"{_kind(dataset)}, " + ("greedy, " if options.deterministic and options.grid else "")
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
    model = policy.to_algorithm(
        algorithm, SpacesOnly(dataset.info.observation_space, dataset.info.action_space), fold_normalization=folded
    )
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


def _clone(options: argparse.Namespace) -> Any:
    if options.output.suffix != ".safetensors":
        raise ValueError(f"the dataset must be called *.safetensors, got {options.output}")
    th.set_num_threads(options.num_threads)
    statistics = options.vecnormalize or statistics_beside(options.agent, options.env)
    if str(options.vecnormalize) == "none":
        statistics = None
    model = clone(
        Expert.load(options.agent, statistics, options.algo),
        options.env,
        options.timesteps,
        options.n_envs,
        progress_bar=not options.json,
        policy=options.policy,
        learner_distribution=options.learner_distribution,
        inner_loop=options.inner_loop,
        n_instances=options.n_instances,
        seed=options.seed,
    )
    model.dataset.save(options.output)
    result = {
        "dataset": str(options.output),
        "k": model.dataset.n_instances,
        "timesteps": model.dataset.info.timesteps,
        "vecnormalize": None if statistics is None else str(statistics),
    }
    if not options.json:
        if statistics is not None:
            print(f"observations of the agent are normalised by {statistics}")
        made = f"{_kind(model.dataset)}, k={model.dataset.n_instances}"
        print(f"{options.output}: {made}; PPMO(initial_dataset=...) goes on from it")
    return result


if __name__ == "__main__":
    sys.exit(main())
