"""``sb3-distill show``: what a file says, of a dataset with a picture."""

import argparse
import json
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from sb3_distill.cli.learning.record import print_recording, summary_of
from sb3_distill.cli.parsing import path_beside
from sb3_distill.cli.printing import shown, visible
from sb3_distill.dataset.file import find, format_of
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.ensemble.files.content import ENSEMBLE, read_checked
from sb3_distill.errors import ArgumentError
from sb3_distill.offline.file import RECORDING
from sb3_distill.offline.recording import Recording
from sb3_distill.typing import Json

MOST_MEMBERS = 20
"""Largest number of members whose numbers are printed; JSON has all of them."""


def show_file(options: argparse.Namespace) -> Json:
    """
    :param options: arguments of ``show``
    :return: what ``--json`` prints
    :raises ValueError: for a picture of what has none
    """
    kind = format_of(find(options.dataset))
    if kind in (RECORDING.format, ENSEMBLE.format):
        if options.output is not None:
            raise ArgumentError(f"{options.dataset} is no dataset, and only datasets have a picture: leave out --output")
        return _show_recording(options) if kind == RECORDING.format else _show_ensemble(options)
    return _show_dataset(options)


def _show_dataset(options: argparse.Namespace) -> Json:
    from sb3_distill.report.pictures import show

    dataset = SyntheticDataset.load(options.dataset)
    output = path_beside(options.dataset, options.output, ".png")
    show(dataset, output)
    info = {"k": dataset.n_instances, **dataset.info.to_json(), **dataset.inner_loop.rates(dataset.learned)}
    if not options.json:
        _print(options.dataset, info)
        print(f"picture: {visible(str(output))}")
    return {**info, "picture": str(output)}


def _show_recording(options: argparse.Namespace) -> Json:
    path = find(options.dataset)
    recording = Recording.load(path)
    if not options.json:
        print_recording(path, recording)
    return summary_of(path, recording)


def _show_ensemble(options: argparse.Namespace) -> Json:
    """The set is not looked for, so that it need not be there."""
    info, _ = read_checked(find(options.dataset))
    names = ("seed", "policy", "policy_kwargs", "learner_distribution", "inner_loop", "weights", "versions")
    others = {name: info[name] for name in names}
    set_ = {"set": info["dataset"]["name"], "sha256": info["dataset"]["sha256"]}
    summary = {**set_, "members": info["members"], "n_drawn": info["n_drawn"], "rule": info["combine"], **others}
    if not options.json:
        n = len(info["members"])
        numbers = "" if n == info["n_drawn"] or n > MOST_MEMBERS else f": {', '.join(map(str, info['members']))}"
        usual = {name: "as the set says" for name, value in others.items() if value is None}
        printed = {**summary, **usual, "members": f"{n} of {info['n_drawn']} that are drawn{numbers}"}
        del printed["n_drawn"]
        _print(f"{options.dataset}: an ensemble", printed)
    return {"ensemble": options.dataset, **summary}


def _print(title: str, info: Mapping[str, object]) -> None:
    table = Table(title=shown(title), show_header=False)
    for key, value in info.items():
        table.add_row(shown(key), shown(value if isinstance(value, str) else json.dumps(value)))
    Console().print(table)
