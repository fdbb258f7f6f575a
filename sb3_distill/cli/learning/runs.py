"""What the commands that distil data have in common: a run that is new or goes on, to its end and into a file."""

import argparse
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import torch as th

from sb3_distill.cli.mistakes import interruption_says
from sb3_distill.cli.parsing import read_params
from sb3_distill.dataset.file import check_path
from sb3_distill.offline.distillation import OfflineDistillation
from sb3_distill.supervised.distillation import SupervisedDistillation
from sb3_distill.supervised.run import RunOnData
from sb3_distill.typing import Json

Kind: TypeAlias = type[SupervisedDistillation] | type[OfflineDistillation]
"""Classes of runs on data."""
OPTIONS = {"inner_loop", "n_instances", "learner_distribution", "combine", "seed", "device"}
"""Arguments of both classes that are options of the command, by the same name."""


def prepare(options: argparse.Namespace, kind: Kind, others: Collection[str]) -> Json:
    """
    :param options: arguments of ``distil``
    :param kind: class of the run
    :param others: further arguments of the class that the command sets itself
    :return: the arguments that ``-params`` says
    :raises ValueError: for an argument that the class does not have, or an output that is no dataset file
    """
    params = read_params(options.hyperparams, {"data", "n_learners", *OPTIONS, *others}, kind)
    th.set_num_threads(options.num_threads)
    check_path(options.output)
    return params


def finish(options: argparse.Namespace, kind: Kind, params: Json, *data: Any) -> RunOnData:
    """
    :param options: arguments of ``distil``
    :param kind: class of the run
    :param params: see ``prepare``
    :param data: its first arguments
    :return: the run, at its end; its dataset is written
    """
    make: Callable[..., RunOnData] = kind
    if options.checkpoint is not None and options.checkpoint.exists():
        run: RunOnData = kind.load(options.checkpoint, *data)
    else:
        said = {name: getattr(options, name) for name in OPTIONS}
        run = make(*data, n_learners=options.learners, **said, **params)
    kept = "nothing was written" if options.checkpoint is None else f"the same command goes on from {options.checkpoint}"
    with interruption_says(kept):
        run.learn(options.updates, reset_num_updates=False, progress_bar=not options.json, checkpoint=options.checkpoint)
    run.dataset.save(options.output)
    return run
