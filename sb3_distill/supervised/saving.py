"""Checkpoints of runs on data: a zip without pickles."""

import io
import json
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch as th

from sb3_distill.dataset.file_checks import shortened
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError, DatasetError
from sb3_distill.spaces.serialization import is_json
from sb3_distill.spaces.values import plain
from sb3_distill.typing import Json
from sb3_distill.whole_files import write_zip

DATASET, STATE, ARGUMENTS = "dataset.safetensors", "state.pt", "arguments.json"
"""Members of the zip."""


class Checkpoint(NamedTuple):
    """
    What a run goes on from.

    :param dataset: the dataset as it is
    :param arguments: arguments of the run that JSON can hold
    :param state: tensors, numbers, and lists and dicts of these
    """

    dataset: SyntheticDataset
    arguments: Json
    state: Json


def write(path: Path, kind: str, dataset: SyntheticDataset, arguments: Mapping[str, object], state: Json) -> None:
    """
    :param path: path of the zip, which appears whole or not at all
    :param kind: name of the class of the run
    :param dataset: the dataset as it is
    :param arguments: arguments of the run; those that JSON cannot hold are named, and must be passed again
    :param state: tensors, numbers, and lists and dicts of these
    :raises OSError: if it cannot be written
    """
    values = {name: plain(value) for name, value in arguments.items()}
    kept = {name: value for name, value in values.items() if is_json(value)}
    stored = {"kind": kind, "arguments": kept, "others": sorted(set(values) - set(kept))}

    def fill(target: io.BytesIO) -> None:
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(target, "w") as archive:
            dataset.save(Path(folder) / DATASET)
            archive.write(Path(folder) / DATASET, DATASET)
            buffer = io.BytesIO()
            th.save(state, buffer)
            archive.writestr(STATE, buffer.getvalue())
            archive.writestr(ARGUMENTS, json.dumps(stored))

    write_zip(path, fill)


def read(path: Path, kind: str, passed: Collection[str]) -> Checkpoint:
    """
    :param path: path of the zip; the ending may be missing
    :param kind: name of the class of the run
    :param passed: names of arguments that are passed again
    :raises FileNotFoundError: if there is no such file
    :raises DatasetError: if it is no checkpoint, or damaged
    :raises ValueError: if an argument must be passed that is not
    """
    path = path if path.exists() else path.with_suffix(".zip")
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            archive.extract(DATASET, folder)
            dataset = SyntheticDataset.load(Path(folder) / DATASET)
            stored = json.loads(archive.read(ARGUMENTS))
            found, arguments, others = stored["kind"], dict(stored["arguments"]), list(stored["others"])
            state: dict[str, Any] = th.load(io.BytesIO(archive.read(STATE)), weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # nothing of a file is trusted
        raise DatasetError(f"{path} is no checkpoint of a run on data, or damaged: {error}") from error
    if found != kind:
        raise DatasetError(f"{path} is a run of {shortened(found)}, not of {kind}")
    if missing := [name for name in others if name not in passed]:
        raise ArgumentError(f"{path} does not hold `{missing[0]}`, which no file can: pass it to `load` again")
    return Checkpoint(dataset, arguments, state)
