"""``sb3-distill distil``: a dataset from labelled data, or from recorded play; and ``evaluate --data``."""

import argparse
import os
import sys
from pathlib import Path

from sb3_distill.cli.learning.offline import distil_recording, is_recording
from sb3_distill.cli.learning.runs import finish, prepare
from sb3_distill.cli.parsing import AddCommand, add_device, add_params, positive, seed
from sb3_distill.cli.printing import kind_of, print_table
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError
from sb3_distill.inner_loop.loop import INNER_LOOPS
from sb3_distill.supervised.distillation import SupervisedDistillation
from sb3_distill.supervised.evaluation import DataEvaluation, evaluate_supervised
from sb3_distill.supervised.files import load_examples
from sb3_distill.supervised.modules.factory import ModuleFactory, find_module
from sb3_distill.typing import Json

OF_ENVIRONMENTS = ("grid", "episodes", "deterministic", "output")
"""Arguments of ``evaluate`` that mean nothing where learners predict."""
DATA = "examples: an .npz (inputs and targets, or x_train and y_train), or a folder with the IDX files of MNIST"


def add_data_commands(add: AddCommand) -> None:
    """
    :param add: adds a command
    """
    about = "Make a dataset from labelled data, which fresh networks are taught to predict, or from recorded play."
    command = add("distil", _distil, about)
    command.add_argument(
        "--data", type=Path, required=True, help=f"{DATA}; or recorded play, the .safetensors that sb3-distill record wrote"
    )
    command.add_argument("-o", "--output", type=Path, required=True, help="the dataset, *.safetensors")
    command.add_argument("--updates", type=positive, default=2_000, help="of the dataset (default: 2000)")
    command.add_argument("--n-instances", type=positive, help="synthetic instances (default: one per class; for play as PPMO)")
    command.add_argument("--learners", type=positive, default=8, help="fresh learners of each update (default: 8)")
    command.add_argument(
        "--inner-loop", default="sgd", choices=list(INNER_LOOPS), help="how learners are taught (default: sgd)"
    )
    command.add_argument("--learner-distribution", help="which learners (default: as they initialise themselves)")
    command.add_argument("--combine", choices=["probs", "logits"], help="distil for an ensemble (default: for each learner)")
    command.add_argument("--classes", type=positive, help="number of classes (default: what the data show)")
    command.add_argument("--checkpoint", type=Path, help="zip that is written every few minutes; an old one goes on")
    command.add_argument("--seed", type=seed, default=0, help="of everything (default: 0)")
    command.add_argument("--num-threads", type=positive, default=1, help="of PyTorch (default: 1, fastest for small networks)")
    _add_learners(command)
    add_device(command)
    add_params(command, "SupervisedDistillation, or OfflineDistillation")


def add_data_arguments(command: argparse.ArgumentParser) -> None:
    """
    :param command: ``evaluate``, which gets the arguments for sets of labelled data
    """
    command.add_argument("--data", type=Path, help=f"{DATA}; for sets that were distilled from such")
    command.add_argument("--split", default="test", choices=["train", "test"], help="part of --data (default: test)")
    _add_learners(command)


def _add_learners(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--module", help="what makes a learner, package.module:name (default: the network of an SB3 MlpPolicy)"
    )


def _distil(options: argparse.Namespace) -> Json:
    if is_recording(options.data):
        return distil_recording(options)
    params = prepare(options, SupervisedDistillation, ("module", "policy"))
    examples, module = load_examples(options.data, n_classes=options.classes), _module(options.module)
    run = finish(options, SupervisedDistillation, params, examples, module)
    result: Json = {"dataset": str(options.output), "k": run.dataset.n_instances, "updates": run.n_updates}
    if not options.json:
        made = f"{kind_of(run.dataset)}, k={run.dataset.n_instances}"
        print(f"{options.output}: {made}; sb3-distill evaluate {options.output} --data ... scores it")
    return result


def evaluate_on_data(dataset: SyntheticDataset, options: argparse.Namespace) -> Json:
    """
    :param dataset: a set of labelled data
    :param options: arguments of ``evaluate``
    :return: what ``--json`` prints
    :raises ValueError: for a set that was not distilled from data, without ``--data``, or for arguments of ``OF_ENVIRONMENTS``
    """
    if "n_examples" not in dataset.info.data:
        raise ArgumentError(f"{options.dataset} was not distilled from data: leave out --data")
    if options.data is None:
        raise ArgumentError("the dataset was distilled from data, and has no environment: name examples with --data")
    for name in OF_ENVIRONMENTS:
        if getattr(options, name) not in (None, False):
            raise ArgumentError(f"--{name} is for sets of environments: leave it out with --data")
    examples = load_examples(options.data, options.split)
    evaluation = evaluate_supervised(
        dataset,
        examples,
        options.learners,
        options.learner_distribution,
        _module(options.module),
        seed=options.seed,
        device=options.device,
        allow_imports=options.gym_packages,
    )
    if not options.json:
        _print(
            f"{options.dataset}: {kind_of(dataset)}, {options.learners} fresh learners, {len(examples):,} examples", evaluation
        )
    return evaluation.summary()


def _print(title: str, evaluation: DataEvaluation) -> None:
    kind = "accuracy" if evaluation.is_classes else "R²"
    figures = (evaluation.mean, evaluation.std, evaluation.scores.min(), evaluation.ensemble_score)
    print_table(
        title, ["", "mean", "sd over learners", "worst", "all together"], [[kind, *(f"{x:.4f}" for x in figures)]], [""]
    )


def _module(name: str | None) -> ModuleFactory | None:
    """What the user names is trusted."""
    if name is None:
        return None
    if ":" not in name:
        raise ArgumentError(f"--module must be package.module:name, got {name!r}")
    if "" not in sys.path and os.getcwd() not in sys.path:  # a console script does not look in its folder
        sys.path.insert(0, os.getcwd())
    return find_module(name, [name.partition(":")[0]])
