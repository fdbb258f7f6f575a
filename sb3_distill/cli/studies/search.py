"""``sb3-distill search``: architectures, judged by distillation, by recorded play and by RL."""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from gymnasium import spaces

from sb3_distill.cli.mistakes import interruption_says
from sb3_distill.cli.parsing import AddCommand, add_gym_packages, literal, positive, seed
from sb3_distill.cli.printing import print_table, visible
from sb3_distill.dataset.file import shipped_sets
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.environments.make import as_vec_env, make_vec_env
from sb3_distill.errors import ArgumentError, warn
from sb3_distill.search.architecture import PolicyArchitecture
from sb3_distill.search.confirmation import confirmed, joined, with_controls
from sb3_distill.search.ranking.page import write_page
from sb3_distill.search.ranking.result import SearchResult
from sb3_distill.search.score import Evaluator, Score
from sb3_distill.search.scores.proxies import proxies_of
from sb3_distill.search.space import SPACES, SearchSpace
from sb3_distill.search.study.pruner import NONE, PRUNERS
from sb3_distill.search.study.result import WayResult
from sb3_distill.search.study.run import search
from sb3_distill.search.study.sampler import RANDOM, SAMPLERS, TPE
from sb3_distill.spaces.checks import describe
from sb3_distill.typing import Json
from sb3_distill.whole_files import check_writable, write_whole

DISTILLATION, OFFLINE, ONLINE = "distillation", "offline", "online"
WAYS = (DISTILLATION, OFFLINE, ONLINE)
"""Ways of judging."""
N_TIMESTEPS = 50_000
"""Environment steps of RL for each network, unless the command says another number."""
TRIALS, PAGE = "trials.json", "search.html"
"""File of all architectures that were tried, by way, and the page for people."""
FIRST_NEW_SEED = 10_000
"""Seeds of the confirmation begin here."""


def add_search_command(add: AddCommand) -> None:
    """
    :param add: adds a command
    """
    command = add("search", _search, "Search the architecture of an agent: distillation, recorded play and RL judge networks.")
    command.add_argument("env", help="Gymnasium id of the environment")
    command.add_argument(
        "--space", default="mlp", help=f"{', '.join(SPACES)}, or a JSON file of what may be chosen (default: mlp)"
    )
    command.add_argument("--by", nargs="+", choices=WAYS, default=[DISTILLATION], help=f"who judges (default: {DISTILLATION})")
    command.add_argument("--trials", type=positive, default=100, help="architectures that each of them judges (default: 100)")
    command.add_argument(
        "--sampler",
        choices=SAMPLERS,
        help=f"who proposes architectures (default: {TPE} for one way; {RANDOM} for several, which then judge the same ones)",
    )
    command.add_argument(
        "--pruner", choices=PRUNERS, default=NONE, help=f"who gives up after a part of the budget (default: {NONE})"
    )
    command.add_argument(
        "--storage",
        help="a journal file or the URL of a database; several machines that run this command with one storage share the "
        "work, and a search that was cut off goes on (default: search.journal in the output)",
    )
    command.add_argument(
        "--confirm",
        type=int,
        default=0,
        help="best architectures of each way to train again by RL with new seeds (default: 0)",
    )
    command.add_argument(
        "--controls",
        action="store_true",
        help="judge them by proxies and by labels in a random order too, which ways should beat",
    )
    command.add_argument("--confirm-seeds", type=two_or_more, default=10, help="new seeds of the confirmation (default: 10)")
    command.add_argument("--seeds", type=positive, default=3, help="networks of each architecture (default: 3)")
    command.add_argument("--seed", type=seed, default=0, help="of the sampler (default: 0)")
    command.add_argument("--dataset", help="the set of distillation (default: the widest shipped set of the environment)")
    command.add_argument("--data", help="the recording of offline, see `sb3-distill record`")
    for way, unit in ((DISTILLATION, "gradient steps"), (OFFLINE, "gradient steps"), (ONLINE, "environment steps")):
        default = N_TIMESTEPS if way == ONLINE else "that of the score"
        about = f"{unit} of {way} for each network (default: {default})"
        command.add_argument(f"--budget-{way}", type=positive, metavar="N", help=about)
    command.add_argument("--env-kwargs", nargs="*", default=[], metavar="NAME:VALUE", help="arguments of the environment")
    command.add_argument("-o", "--output", type=Path, help="folder of the result (default: <env>-search in this folder)")
    add_gym_packages(command)


def two_or_more(text: str) -> int:
    """
    :param text: an argument
    :return: a whole number from 2
    :raises ArgumentTypeError: for anything else
    """
    if (number := positive(text)) < 2:
        raise argparse.ArgumentTypeError(f"must be 2 at least, since the spread over seeds counts, got {text}")
    return number


def evaluators_of(options: argparse.Namespace) -> list[Evaluator]:
    """
    :param options: options of the command
    :return: a judge for each way, in the order of ``--by``
    :raises ValueError: if one lacks a dataset or a recording
    """
    evaluators: list[Evaluator] = []
    for way in dict.fromkeys(options.by):
        if way == DISTILLATION:
            evaluators.append(_distillation(options))
        elif way == ONLINE:
            evaluators.append(_online(options))
        else:
            if options.data is None:
                raise ArgumentError(
                    "offline judges by recorded play: record some by `sb3-distill record`, and pass --data FILE"
                )
            from sb3_distill.offline.recording import Recording
            from sb3_distill.search.scores.offline import OfflineScore

            evaluators.append(OfflineScore(Recording.load(options.data), name=OFFLINE, n_steps=options.budget_offline))
    return evaluators


def _online(options: argparse.Namespace) -> Evaluator:
    from sb3_distill.search.scores.online import OnlineScore

    return OnlineScore(options.env, options.budget_online or N_TIMESTEPS, env_kwargs=_env_kwargs(options))


def _distillation(options: argparse.Namespace, shuffled: bool = False) -> Evaluator:
    from sb3_distill.search.scores import distillation

    dataset = options.dataset or default_set(options.env)
    arguments: Json = {} if options.budget_distillation is None else {"n_steps": options.budget_distillation}
    if shuffled:
        return distillation.DistillationScore(distillation.shuffled(dataset), name="shuffled labels", **arguments)
    return distillation.DistillationScore(dataset, **arguments)


def default_set(env_id: str) -> str:
    """
    :param env_id: id of an environment
    :return: name of the shipped set that judges networks for it
    :raises ValueError: if there is none
    """
    shipped = shipped_sets()
    for ending in ("/wide-sgd", "/wide", "/any", ""):
        if env_id + ending in shipped:
            return env_id + ending
    raise ArgumentError(f"there is no shipped set of {env_id}: distil one, and pass --dataset FILE")


def check_task(options: argparse.Namespace, evaluators: Sequence[Evaluator]) -> None:
    """
    :param options: options of the command
    :param evaluators: judges
    :raises ValueError: if there is no such environment, or a set or a recording was made for other spaces
    """
    try:
        env = make_vec_env(options.env, 1, env_kwargs=_env_kwargs(options))
    except Exception as error:  # environments raise anything for arguments that they do not know
        raise ArgumentError(f"{options.env} cannot be made: {error}") from error
    try:
        env = as_vec_env(env)
        if options.controls and isinstance(env.observation_space, spaces.Dict):
            raise ArgumentError(f"{options.env} shows a dict, which proxies do not look at: leave out --controls")
        for evaluator in evaluators:
            source = getattr(evaluator, "dataset", None) or getattr(evaluator, "recording", None)
            made_for = source.info if isinstance(source, SyntheticDataset) else source
            if made_for is not None and (
                (made_for.observation_space, made_for.action_space) != (env.observation_space, env.action_space)
            ):
                raise ArgumentError(
                    f"what {evaluator.name} judges by was made for {describe(made_for.observation_space)} and "
                    f"{describe(made_for.action_space)}, {options.env} has {describe(env.observation_space)} and "
                    f"{describe(env.action_space)}"
                )
    finally:
        env.close()


def _budgets(options: argparse.Namespace) -> Json:
    return {way: getattr(options, f"budget_{way}") for way in WAYS}


def write_result(options: argparse.Namespace, folder: Path, results: Mapping[str, WayResult]) -> SearchResult:
    """
    Write what was tried (``trials.json``), scores side by side and the confirmation (``ranking.json``), and the page.

    :param options: options of the command, ``confirm`` among them
    :param folder: folder of the result
    :param results: what was tried, by way
    :return: the result
    :raises ValueError: if nothing was finished
    """
    tried = {way: [_finite(one.to_json()) for one in result.tried] for way, result in results.items()}
    write_whole(folder / TRIALS, (json.dumps(tried, indent=1, allow_nan=False) + "\n").encode())
    info = {"env_id": options.env, "space": options.space, "seeds": options.seeds, "budgets": _budgets(options)}
    result = joined(results, ONLINE if len(results) > 1 else None, info=info)
    if ONLINE in results and len(results) > 1 and result.truth is None:
        warn(
            f"{ONLINE} has not judged all architectures of the other ways, so that nothing is compared: use --sampler {RANDOM}"
        )
    result.save(folder)  # what follows takes long
    if options.controls:
        proxies: list[Evaluator] = [*proxies_of(options.env, _env_kwargs(options))]
        labels = [_distillation(options, shuffled=True)] if DISTILLATION in results else []
        result = with_controls(result, [*proxies, *labels], range(options.seeds))
        if DISTILLATION in results:
            result = result.with_rank_average("distillation and proxies", [DISTILLATION, *(one.name for one in proxies)])
        result.save(folder)
    if options.confirm:
        seeds = range(FIRST_NEW_SEED, FIRST_NEW_SEED + options.confirm_seeds)
        result = confirmed(result, _online(options), options.confirm, seeds, options.seed or 0, progress_bar=not options.json)
    result.save(folder)
    try:
        write_page(result, folder / PAGE)
    except ImportError as error:  # the numbers are there without the pictures
        warn(f"no page was written: {error}")
    return result


def _search(options: argparse.Namespace) -> Json:
    if options.confirm < 0:
        raise ArgumentError(f"--confirm is a number from 0, got {options.confirm}")
    folder = options.output or Path(f"{options.env.replace('/', '-')}-search")
    check_writable(folder / TRIALS)
    storage = options.storage or str(folder / "search.journal")
    space, evaluators = SearchSpace.parse(options.space), evaluators_of(options)
    check_task(options, evaluators)
    sampler = options.sampler or (TPE if len(evaluators) == 1 else RANDOM)
    task = {"env_id": options.env, "env_kwargs": _env_kwargs(options)}
    with interruption_says(f"what was judged is kept in {storage}; the same command goes on"):
        results = search(
            space, evaluators, options.trials, range(options.seeds), storage, sampler, options.pruner,
            options.seed, progress_bar=not options.json, task=task,
        )  # fmt: skip
    result = write_result(options, folder, results)
    if not options.json:
        columns = ("by", "judged", "pruned", "refused", "best architecture", "its score", "seconds of each")
        title = f"{options.env}: {options.trials} architectures of {options.space}, {options.seeds} networks of each"
        print_table(title, columns, [_row(result) for result in results.values()], left=("by", "best architecture"))
        if result.truth is not None:
            heads, rows = result.table()
            shown = [heads.index(name) for name in ("score", "tau-b", "Spearman", "top 5", "regret", "s each")]
            rows = [[row[i] for i in shown] for row in rows]
            print_table("Agreement with RL", [heads[i] for i in shown], rows, left=("score",), whole=["score", "tau-b"])
        if result.confirmations:
            returns = [[name, f"{mean:.1f}"] for name, values in result.confirmations.items() for mean in [values.mean()]]
            print_table(
                f"Trained again by RL, {options.confirm_seeds} new seeds",
                ("network", "mean return"),
                returns,
                left=("network",),
            )
            print_table("Picks against baselines", *result.comparison_table(), left=("pick - baseline",))
        print(f"result: {visible(str(folder))}")
    best = {way: None if (one := _best(result)) is None else one[0].to_json() for way, result in results.items()}
    n_finished = {way: len(one.finished) for way, one in results.items()}
    return {"folder": str(folder), "storage": storage, "best": best, "n": n_finished, "figures": result.summary()}


def _best(result: WayResult) -> tuple[PolicyArchitecture, Score] | None:
    return max(result.finished, key=lambda pair: pair[1].mean, default=None)


def _row(result: WayResult) -> list[str]:
    states = [sum(one.state == state for one in result.tried) for state in ("finished", "pruned", "refused")]
    best = _best(result)
    seconds = sorted(score.seconds for _, score in result.finished)
    texts = ["-"] * 3 if best is None else [str(best[0]), f"{best[1].mean:.4g}", f"{seconds[len(seconds) // 2]:.3g}"]
    return [result.way, *map(str, states), *texts]


def _env_kwargs(options: argparse.Namespace) -> Json:
    pairs = [pair.partition(":") for pair in options.env_kwargs]
    if wrong := [name for name, colon, _ in pairs if not colon or not name]:
        raise ArgumentError(f"--env-kwargs are name:value, got {wrong[0]!r}")
    return {name: literal(value) for name, _, value in pairs}


def _finite(value: object) -> object:
    """The same JSON with ``None`` in place of numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
