"""``sb3-distill distil --data play.safetensors``: a dataset from recorded play."""

import argparse
from pathlib import Path

from sb3_distill.cli.learning.runs import finish, prepare
from sb3_distill.cli.printing import kind_of
from sb3_distill.errors import ArgumentError
from sb3_distill.offline.distillation import OfflineDistillation
from sb3_distill.offline.recording import Recording
from sb3_distill.typing import Json

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
    params = prepare(options, OfflineDistillation, ())
    recording = Recording.load(options.data)
    run = finish(options, OfflineDistillation, params, recording)
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
