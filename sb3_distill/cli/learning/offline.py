"""``sb3-distill distil --data play.safetensors``: a dataset from recorded play."""

import argparse
from pathlib import Path

import torch as th

from sb3_distill.cli.mistakes import interruption_says
from sb3_distill.cli.parsing import read_params
from sb3_distill.cli.printing import kind_of
from sb3_distill.dataset.file import check_path
from sb3_distill.errors import ArgumentError
from sb3_distill.offline.distillation import OfflineDistillation
from sb3_distill.offline.recording import Recording
from sb3_distill.typing import Json

SAYS = {"data", "inner_loop", "n_instances", "n_learners", "learner_distribution", "combine", "seed", "device"}
"""Arguments of the class that the command sets itself."""
OF_EXAMPLES = ("classes", "module")
"""Arguments of the command that belong to labelled data."""


def is_recording(path: Path) -> bool:
    """Whether ``--data`` names recorded play, by its ending."""
    return path.suffix == ".safetensors"


def distil_recording(options: argparse.Namespace) -> Json:
    """
    :param options: arguments of ``distil``
    :return: what ``--json`` prints
    :raises ValueError: for arguments that belong to labelled data, or do not fit; and for files that are no recordings
    """
    if wrong := [name for name in OF_EXAMPLES if getattr(options, name) is not None]:
        raise ArgumentError(f"--{wrong[0]} is for labelled data: leave it out with recorded play")
    params = read_params(options.hyperparams, SAYS, OfflineDistillation)
    th.set_num_threads(options.num_threads)
    check_path(options.output)
    recording = Recording.load(options.data)
    if options.checkpoint is not None and options.checkpoint.exists():
        run = OfflineDistillation.load(options.checkpoint, recording)
    else:
        run = OfflineDistillation(
            recording,
            inner_loop=options.inner_loop,
            n_instances=options.n_instances,
            n_learners=options.learners,
            learner_distribution=options.learner_distribution,
            combine=options.combine,
            seed=options.seed,
            device=options.device,
            **params,
        )
    kept = "nothing was written" if options.checkpoint is None else f"the same command goes on from {options.checkpoint}"
    with interruption_says(kept):
        run.learn(options.updates, reset_num_updates=False, progress_bar=not options.json, checkpoint=options.checkpoint)
    run.dataset.save(options.output)
    if not options.json:
        made = f"{kind_of(run.dataset)}, k={run.dataset.n_instances}"
        print(f"{options.output}: {made}; sb3-distill evaluate {options.output} lets fresh learners play")
    returns = recording.returns()
    return {
        "dataset": str(options.output),
        "k": run.dataset.n_instances,
        "updates": run.n_updates,
        "steps": len(recording),
        "behaviour_mean": float(returns.mean()) if len(returns) else None,
    }
