"""Where results lie, and how they are read and written."""

import json
import os
import platform
import re
from pathlib import Path

import torch as th

from sb3_distill.dataset.info import library_versions
from sb3_distill.typing import Json

REPOSITORY = Path(__file__).parents[2]
RESULTS = REPOSITORY / "benchmarks" / "results"
PICTURES = REPOSITORY / "docs" / "images"
DATASETS = REPOSITORY / "sb3_distill" / "dataset" / "shipped"
RUNS = REPOSITORY / "runs"
"""What is not committed: checkpoints, agents, and sets that are not shipped yet."""


def one_thread() -> None:
    """Small networks are fastest with one thread per process."""
    th.set_num_threads(1)


def machine() -> Json:
    """Processor and versions that a result was measured with."""
    return {"processor": platform.machine(), "cores": os.cpu_count(), "threads": th.get_num_threads(), **library_versions()}


def write(name: str, result: Json) -> Path:
    """
    :param name: name of the file, without ending
    :param result: content, as JSON
    :return: the file, ``benchmarks/results/<name>.json``
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps({**result, "machine": machine()}, indent=2)
    path.write_text(re.sub(r"\[[^\[\]{}\"]+\]", lambda numbers: " ".join(numbers[0].split()), text) + "\n")  # a line each
    return path


def read(name: str) -> Json:
    """
    :param name: name of a file that ``write`` has written
    :return: its content; an empty object if there is no such file
    """
    path = RESULTS / f"{name}.json"
    content: Json = json.loads(path.read_text()) if path.exists() else {}
    return content
