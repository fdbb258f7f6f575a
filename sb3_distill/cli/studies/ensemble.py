"""``sb3-distill ensemble``: many taught learners as one policy, against the best one of them."""

import argparse
from pathlib import Path

from sb3_distill.cli.parsing import AddCommand, add_device, add_gym_packages, path_beside, positive, seed
from sb3_distill.cli.printing import print_table, visible
from sb3_distill.ensemble.evaluation import evaluate_ensemble
from sb3_distill.ensemble.result import EnsembleEvaluation, in_words
from sb3_distill.ensemble.rules import AUTO, RULES
from sb3_distill.inner_loop.loop import INNER_LOOPS
from sb3_distill.typing import Json
from sb3_distill.whole_files import check_writable

COLUMNS = ("actions", "who plays", "return", "gain over the best member")


def add_ensemble_command(add: AddCommand) -> None:
    """
    :param add: adds a command
    """
    command = add("ensemble", _ensemble, "Compare ensembles of taught learners with the best one: a table and a picture.")
    command.add_argument("dataset", help="a .safetensors file, or the name of a shipped set")
    command.add_argument("--members", type=positive, default=100, help="members of each draw (default: 100)")
    command.add_argument(
        "--sizes", type=positive, nargs="+", help="sizes of ensembles (default: those of 1, 5, 25 and 100 that are possible)"
    )
    command.add_argument("--draws", type=positive, default=10, help="draws of members (default: 10)")
    command.add_argument(
        "--select-episodes", type=positive, default=20, help="episodes by which the best members are chosen (default: 20)"
    )
    command.add_argument("--episodes", type=positive, default=100, help="episodes of what is compared (default: 100)")
    command.add_argument(
        "--rules", nargs="+", default=[AUTO], choices=[AUTO, *RULES], help=f"rules of combination (default: {AUTO})"
    )
    command.add_argument("--deterministic", action="store_true", help="greedy actions only (default: greedy and sampled)")
    command.add_argument("--learner-distribution", help="which members (default: the dataset's policy as SB3 starts it)")
    command.add_argument(
        "--inner-loop", choices=list(INNER_LOOPS), help="teach by another inner loop (default: the dataset's)"
    )
    command.add_argument("--seed", type=seed, default=0, help="of members, actions and environments (default: 0)")
    add_device(command)
    command.add_argument("-o", "--output", type=Path, help="the picture (default: <name>-ensemble.png in this folder)")
    add_gym_packages(command)


def _ensemble(options: argparse.Namespace) -> Json:
    picture = None
    if options.output is not None or not options.json:
        picture = path_beside(options.dataset, options.output, ".png", "-ensemble")
        check_writable(picture)
    evaluation = evaluate_ensemble(
        options.dataset, options.members, options.sizes, options.rules, options.select_episodes, options.episodes,
        options.draws, learner_distribution=options.learner_distribution, inner_loop=options.inner_loop, seed=options.seed,
        progress_bar=not options.json, deterministic=True if options.deterministic else None, device=options.device,
        allow_imports=options.gym_packages,
    )  # fmt: skip
    if picture is not None:
        from sb3_distill.ensemble.pictures import return_against_size

        return_against_size(evaluation, path=picture)
    if not options.json:
        title = f"{options.dataset}: {evaluation.facts()['protocol']}; 95 % intervals"
        print_table(title, COLUMNS, _rows(evaluation), left=COLUMNS)
        print(f"picture: {visible(str(picture))}")
    return {**evaluation.summary(), "picture": None if picture is None else str(picture)}


def _rows(evaluation: EnsembleEvaluation) -> list[list[str]]:
    rows = []
    for kind in evaluation.kinds:
        rows.append([kind, "a member", in_words(evaluation.members(kind)), ""])
        curse = f"(by the selection episodes: {evaluation.best_member(kind).value + evaluation.winners_curse(kind):.1f})"
        rows.append([kind, "the best member", in_words(evaluation.best_member(kind)), curse])
        for contest in evaluation.ensembles:
            if contest.kind == kind and contest.size > 1:
                who = f"{contest.choice} {contest.size}, {contest.rule}"
                rows.append([kind, who, in_words(evaluation.mean(contest)), in_words(evaluation.gain(contest))])
    return rows
