"""The file of recorded play: safetensors with a checksum and a description, as that of a dataset."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch as th
from gymnasium import spaces

from sb3_distill.dataset.file import check_name, check_path, read, write
from sb3_distill.dataset.file_checks import FileKind, check_info, shortened
from sb3_distill.environments.origin import Origin
from sb3_distill.errors import DatasetError, RecordingError
from sb3_distill.offline.checks import Columns, named_columns
from sb3_distill.offline.source import Source
from sb3_distill.spaces.serialization import space_from_json, space_to_json
from sb3_distill.spaces.values import as_json, plain
from sb3_distill.typing import Array, Space

Fields: TypeAlias = tuple[Space, Space, Columns, Sequence[Source], Origin, dict[str, str]]
"""Arguments of a ``Recording``."""

TYPES = ("F32", "F64", "F16", "U8", "I8", "I16", "I32", "I64", "BOOL")
"""Types of observations and actions."""
RECORDING = FileKind(
    "recording",
    "sb3-distill/recording",
    1,
    {
        "observations": TYPES,
        "last_observations": TYPES,
        "actions": TYPES,
        "rewards": ("F32",),
        "terminated": ("BOOL",),
        "truncated": ("BOOL",),
        "": ("I64",),
    },
)
REQUIRED = ("observation_space", "action_space", "env_id", "env_kwargs", "wrappers", "sources", "versions")
SMALLEST_BOUND = 1_000_000
"""So many numbers a space may have in a short recording, such as ``Discrete(500)``."""


def check_output(path: str | os.PathLike[str]) -> Path:
    """
    :param path: path of a recording that will be written; its folder is made if missing
    :return: the path
    :raises ValueError: if it does not end in ``.safetensors``, or is a folder
    :raises OSError: if it cannot be written there, or the disk is full
    """
    return check_path(path, RECORDING)


def write_recording(
    path: str | os.PathLike[str],
    observation_space: Space,
    action_space: Space,
    columns: Columns,
    sources: Sequence[Source],
    origin: Origin,
    versions: dict[str, str],
) -> None:
    """
    :param path: path of the file, ``*.safetensors``; see ``Recording`` for the others
    :raises ValueError: if the path does not end so, or is a folder
    :raises OSError: if it cannot be written
    """
    path = check_name(path, RECORDING)
    info = {
        "observation_space": space_to_json(observation_space),
        "action_space": space_to_json(action_space),
        "env_id": origin.env_id,
        "env_kwargs": {key: as_json(value) for key, value in origin.env_kwargs.items()},
        "wrappers": origin.wrappers,
        "sources": [source.to_json() for source in sources],
        "versions": versions,
    }
    tensors = {name: _tensor(values) for name, values in named_columns(columns).items()}
    write(path, tensors, {key: plain(value) for key, value in info.items()}, RECORDING)


def read_recording(path: str | os.PathLike[str]) -> Fields:
    """
    :param path: path of a file
    :return: arguments of a ``Recording``, which checks the arrays
    :raises FileNotFoundError: if there is none
    :raises DatasetError: if it is damaged, of another kind or a newer format, or not consistent
    """
    path = Path(path)
    if not path.is_file():
        advice = "" if path.suffix == ".safetensors" else ": `record` makes one, Recording.from_minari reads a Minari dataset"
        raise FileNotFoundError(f"there is no recording {path}{advice}")
    info, tensors = read(path, RECORDING)
    check_info(info, tensors, REQUIRED, SMALLEST_BOUND)
    spaces_ = space_from_json(info["observation_space"]), space_from_json(info["action_space"])
    if not isinstance(info["sources"], list) or not info["sources"]:
        raise DatasetError(f"malformed metadata: `sources` is {shortened(info['sources'])}")
    sources = [Source.from_json(source) for source in info["sources"]]
    keys = list(spaces_[0].spaces) if isinstance(spaces_[0], spaces.Dict) else None
    expected = {
        name if keys is None or not name.endswith("observations") else f"{name}.{key}"
        for name in Columns._fields
        for key in keys or [""]
    }
    if strange := sorted(expected ^ set(tensors)):
        raise DatasetError(f"`{strange[0][:100]}` is {'missing' if strange[0] in expected else 'no array of a recording'}")
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    columns = Columns(*(_column(name, arrays, keys) for name in Columns._fields))  # type: ignore[arg-type]
    return (*spaces_, columns, sources, Origin(info["env_id"], info["env_kwargs"], info["wrappers"]), info["versions"])


@contextmanager
def refused(path: str | os.PathLike[str]) -> Iterator[None]:
    """
    Tell whatever a strange file leads to by its path.

    :param path: path of the file that is read inside
    :raises RecordingError: for an error that the file causes
    """
    try:
        yield
    except DatasetError as error:
        raise RecordingError(f"{path}: {error}") from error.__cause__
    except OSError:
        raise
    except Exception as error:  # nothing of a file is trusted: what goes wrong with it is the file's fault
        raise RecordingError(f"{path} has malformed metadata: {shortened(error)}") from error


def _column(name: str, arrays: Mapping[str, Array], keys: Sequence[str] | None) -> Array | dict[str, Array]:
    if keys is None or not name.endswith("observations"):
        return arrays[name]
    return {key: arrays[f"{name}.{key}"] for key in keys}


def _tensor(values: Array) -> th.Tensor:
    """A tensor of the same numbers; PyTorch warns of arrays that are read-only, and has few unsigned types."""
    if values.dtype.kind == "u" and values.dtype != np.uint8:
        values = values.astype(np.int64)
    return th.from_numpy(np.array(values, order="C"))
