"""``sb3-distill generalisation``: how sets serve learners that they were not made for."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from sb3_distill.cli.parsing import AddCommand, add_device, add_gym_packages, path_beside, positive, seed
from sb3_distill.cli.printing import print_table, visible
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError
from sb3_distill.evaluation.grids import FACTORS, HELD_OUT, STORED
from sb3_distill.generalisation.comparison import compare, table
from sb3_distill.generalisation.recipes import RECIPES
from sb3_distill.generalisation.report import GeneralisationReport, Untaught, generalisation_report, recorded_score
from sb3_distill.inner_loop.loop import INNER_LOOPS
from sb3_distill.typing import Json
from sb3_distill.whole_files import check_writable

NONE = "none"
"""Value of ``--held-out`` for no such grid."""


def add_study_commands(add: AddCommand) -> None:
    """
    :param add: adds a command
    """
    command = add(
        "generalisation", _generalisation, "Say how sets serve learners that they were not made for: a table and a page."
    )
    command.add_argument(
        "dataset", nargs="+", help=".safetensors files, or names of shipped sets; each is compared with the first one"
    )
    grids = f"table1, {', '.join(STORED)}, or a JSON file of learner distributions by name"
    command.add_argument("--grid", default=FACTORS, help=f"{grids} (default: {FACTORS})")
    command.add_argument(
        "--held-out",
        default=HELD_OUT,
        help=f"a grid on which nothing was trained, tuned or chosen, or {NONE} (default: {HELD_OUT}; it is used up by a look)",
    )
    command.add_argument("--learners", type=positive, default=20, help="fresh learners of each cell (default: 20)")
    command.add_argument("--episodes", type=positive, default=20, help="episodes of each (default: 20)")
    command.add_argument("--deterministic", action="store_true", help="greedy actions (default: sampled)")
    command.add_argument(
        "--inner-loop",
        action="append",
        choices=list(INNER_LOOPS),
        help="teach by this loop instead of the set's; may be said several times, and each is compared",
    )
    command.add_argument(
        "--recipes", action="store_true", help="ordinary training on the batch too (SGD and Adam; takes longer)"
    )
    command.add_argument("--reference", type=float, help="return that counts as perfect (default: what the files record)")
    command.add_argument(
        "--untaught",
        default="task",
        help="return that counts as nothing: a number, or measured once (task) or in each cell (cell) (default: task)",
    )
    command.add_argument("--seed", type=seed, default=0, help="of learners, actions, environments, bootstraps (default: 0)")
    add_device(command)
    command.add_argument(
        "-o", "--output", type=Path, help="the page, *.html (default: <name>-generalisation.html in this folder)"
    )
    add_gym_packages(command)


def _generalisation(options: argparse.Namespace) -> Json:
    page = None
    if options.output is not None or not options.json:
        page = path_beside(options.dataset[0], options.output, ".html", "-generalisation")
        check_writable(page)
    reports = _reports(options)
    if page is not None:
        from sb3_distill.generalisation.page import write_page

        write_page(reports, page)
    if not options.json:
        columns, rows = table(reports)
        title = f"Generalisation, {reports[0].facts()['protocol']}; normalised returns with 95 % intervals"
        print_table(title, columns, rows, left=columns)
        print(f"page: {visible(str(page))}")
    return {
        "sets": {report.label: report.summary() for report in reports},
        "comparisons": [comparison.summary() for comparison in compare(reports)],
        "page": None if page is None else str(page),
    }


def _reports(options: argparse.Namespace) -> list[GeneralisationReport]:
    """A report for each set and loop; sets of one task have one reference, and one untaught return."""
    datasets = {name: SyntheticDataset.load(name) for name in options.dataset}
    references = {_task(dataset): options.reference for dataset in datasets.values()}
    if options.reference is None:
        for dataset in datasets.values():
            recorded = recorded_score(dataset, options.deterministic)
            references[_task(dataset)] = max(recorded, references[_task(dataset)] or recorded)
    untaught: dict[str, Untaught] = dict.fromkeys(references, _untaught(options.untaught))
    reports = []
    for name, dataset in datasets.items():
        task = _task(dataset)
        for i, loop in enumerate(options.inner_loop or [None]):
            report = generalisation_report(
                dataset, options.grid, None if options.held_out == NONE else options.held_out, options.learners,
                options.episodes, options.deterministic, loop, references[task], untaught[task],
                recipes=RECIPES if options.recipes and i == 0 else (), seed=options.seed, progress_bar=not options.json,
                device=options.device, allow_imports=options.gym_packages, name=name,
            )  # fmt: skip
            if untaught[task] == "task":
                untaught[task] = float(report.grid.untaught)
            reports.append(report)
    compare(reports)
    return reports


def _task(dataset: SyntheticDataset) -> str:
    arguments: Mapping[str, object] = dataset.info.env_kwargs
    return f"{dataset.info.env_id} {json.dumps(arguments, sort_keys=True, default=str)}"


def _untaught(text: str) -> Untaught:
    if text == "task" or text == "cell":
        return "task" if text == "task" else "cell"
    try:
        return float(text)
    except ValueError:
        raise ArgumentError(f"--untaught is task, cell or a number, got {text!r}") from None
