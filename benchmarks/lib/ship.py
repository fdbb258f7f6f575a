"""The way of sets from runs/ into the package."""

import shutil

from benchmarks.lib.results import DATASETS, read
from benchmarks.lib.score import best
from benchmarks.lib.suite import KINDS, Suite


def ship(suite: Suite) -> None:
    """
    Put the sets in runs/ into the package: the better kind of a task under the name of the task, and the kinds of
    ``suite.shipped_kinds`` under names with the kind in them.
    """
    results = read(suite.name)
    for task in suite.steps:
        env_id = suite.env_id.format(task)
        scores = {kind: best(results[name]) for kind in KINDS if (name := f"{task}/{kind}/0") in results}
        for kind in scores:
            path = suite.file(task, kind, 0)
            if not path.exists():
                continue
            if scores[kind] == max(scores.values()):
                shutil.copy(path, DATASETS / f"{env_id}.safetensors")
            if kind in suite.shipped_kinds:
                shutil.copy(path, DATASETS / f"{env_id}--{kind}.safetensors")
