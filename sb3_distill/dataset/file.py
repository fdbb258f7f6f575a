"""
The file of a dataset: safetensors with a checksum and a description, and where the shipped ones are.

Files of other kinds are written and read by the same functions.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import torch as th
from gymnasium import spaces
from safetensors.torch import load, save

from sb3_distill.dataset.file_checks import FileKind, check_kind, check_version
from sb3_distill.dataset.normalization import Statistics
from sb3_distill.errors import ArgumentError, DatasetError
from sb3_distill.spaces.sizes import n_outputs, preprocessed_shape
from sb3_distill.trees import named_leaves
from sb3_distill.typing import Json, Observations, Space
from sb3_distill.whole_files import check_writable, write_whole

PROJECT = "sb3-distill"
FORMAT = f"{PROJECT}/dataset"
FORMAT_VERSION = 1
LENGTH = 8
"""Bytes of a safetensors file that say how long its header is."""
MAX_HEADER, MAX_TENSORS, MAX_NAME = 10_000_000, 10_000, 1_000
"""Limits of a header: bytes (JSON takes up to 25 times as much memory), tensors, and characters in the name of one."""
STATISTIC_TYPES = ("F32", "F64", "F16", "I64", "I32")
"""Types of the tensors whose names begin with ``obs_``; all others are F32."""
DTYPES = {
    "F32": th.float32, "F64": th.float64, "F16": th.float16, "BF16": th.bfloat16, "I64": th.int64, "I32": th.int32,
    "I16": th.int16, "I8": th.int8, "U8": th.uint8, "BOOL": th.bool,
}  # fmt: skip
"""PyTorch's words for types, for messages."""


DATASET = FileKind("dataset", FORMAT, FORMAT_VERSION, {"obs_": STATISTIC_TYPES, "": ("F32",)})


def check_path(path: str | os.PathLike[str], kind: FileKind = DATASET) -> Path:
    """
    Whether a file can be written there; what takes long asks before.

    :param path: of a file; its folder is made if missing
    :param kind: what the file will hold
    :return: the path
    :raises ValueError: if it does not end in ``.safetensors``, or is a folder
    :raises OSError: if it cannot be written there, or the disk is full
    """
    path = check_name(path, kind)
    check_writable(path)
    return path


def check_name(path: str | os.PathLike[str], kind: FileKind = DATASET) -> Path:
    """
    :param path: of a file
    :param kind: what the file holds
    :return: the path
    :raises ValueError: if it does not end in ``.safetensors``, or is a folder
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ArgumentError(f"{kind.with_article} file must be called *.safetensors, got {path}")
    if path.is_dir():
        raise ArgumentError(f"{path} is a folder, not {kind.with_article} file")
    return path


def shipped_sets() -> list[str]:
    """Names of the sets that come with the package."""
    folder = resources.files("sb3_distill.dataset") / "shipped"
    names = [entry.name for entry in folder.iterdir() if entry.name.endswith(".safetensors")]
    names = [name.removesuffix(".safetensors").replace("--", "/") for name in names]
    return sorted(names, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])


def find(name_or_path: str | os.PathLike[str]) -> Path:
    """
    :param name_or_path: a path or the name of a shipped set, see ``SyntheticDataset.load``
    :return: the path of the file
    :raises FileNotFoundError: if there is none
    :raises ValueError: if it is neither a name nor a path
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise ArgumentError(
            f"a dataset must be a SyntheticDataset, a path, or the name of a shipped set, got {name_or_path!r:.100}"
        )
    if isinstance(name_or_path, str) and not name_or_path.endswith(".safetensors"):
        path = Path(str(resources.files("sb3_distill.dataset") / "shipped")) / f"{name_or_path.replace('/', '--')}.safetensors"
        if not path.is_file():
            raise FileNotFoundError(
                f"no shipped dataset is called {name_or_path!r} (a path must end in .safetensors); "
                f"shipped are {', '.join(shipped_sets()) or 'none'}"
            )
        return path
    path = Path(name_or_path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no dataset file {path}")
    return path


def write(path: Path, tensors: Mapping[str, th.Tensor], info: Json, kind: FileKind = DATASET) -> None:
    """
    :param path: see ``check_path``
    :param tensors: on the CPU, contiguous
    :param info: what the file says about them
    :param kind: what the file holds
    :raises DatasetError: if that is more than a header may hold
    :raises OSError: if the file cannot be written
    """
    text = json.dumps(info, sort_keys=True)
    metadata = {
        "format": kind.format,
        "format_version": str(kind.version),
        "sha256": digest_of(tensors, text),
        "info": text,
    }
    content = pack(tensors, metadata)
    if (length := int.from_bytes(content[:LENGTH], "little")) > MAX_HEADER:
        raise DatasetError(f"the description of {path} would be {length:,} bytes long, and {MAX_HEADER:,} are allowed")
    write_whole(path, content)


def pack(tensors: Mapping[str, th.Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """
    :param tensors: on the CPU, contiguous
    :param metadata: texts by name
    :return: a safetensors file; the same bytes for the same tensors and texts (safetensors writes texts in any order)
    """
    content = save(dict(tensors), None if metadata is None else dict(metadata))
    start = LENGTH + int.from_bytes(content[:LENGTH], "little")
    header = json.loads(content[LENGTH:start])
    ordered = {key: dict(sorted(value.items())) if key == "__metadata__" else value for key, value in sorted(header.items())}
    text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % LENGTH)  # tensors are aligned
    return len(text).to_bytes(LENGTH, "little") + text + content[start:]


def read(path: Path, kind: FileKind = DATASET) -> tuple[Json, dict[str, th.Tensor]]:
    """
    :param path: of a file that is there; it is opened once, so that all is of one file, also while another replaces it
    :param kind: what the file must hold
    :return: what it says about its tensors, and these
    :raises DatasetError: if it is damaged, of another kind or a newer format, or holds what is not a finite number of a type
        that the kind has
    """
    try:
        with path.open("rb") as file:
            header = _header(file, os.fstat(file.fileno()).st_size)
            metadata = header.pop("__metadata__", {})
            if isinstance(metadata, dict):
                check_kind(metadata.get("format"), kind)
            _check_types(header, kind)
            file.seek(0)
            tensors = load(file.read())
    except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"it is not a readable safetensors file (truncated, damaged or renamed): {error}") from error
    if not isinstance(metadata, dict) or metadata.get("format") != kind.format:
        raise DatasetError("it is a safetensors file, but not one of sb3-distill")
    check_version(metadata.get("format_version"), kind)
    text = metadata.get("info", "")
    if metadata.get("sha256") != digest_of(tensors, text):
        raise DatasetError("it is damaged: its contents do not match their checksum")
    for name, value in tensors.items():
        if not value.isfinite().all():
            raise DatasetError(f"`{name}` contains NaN or infinite values")
    try:
        info = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"it has malformed metadata: {error!r}") from error
    if not isinstance(info, dict):
        raise DatasetError(f"it has malformed metadata: they are a {type(info).__name__}, not an object")
    return info, tensors


def format_of(path: Path) -> str | None:
    """
    :param path: path of a file that is there
    :return: what its header says that it holds, see ``FileKind.format``; ``None`` where it says nothing that can be read
    """
    try:
        with path.open("rb") as file:
            metadata = _header(file, os.fstat(file.fileno()).st_size).get("__metadata__", {})
    except (ValueError, RecursionError):
        return None
    found: str | None = metadata.get("format")
    return found


def _header(file: BinaryIO, size: int) -> dict[str, Any]:
    """The header of a safetensors file, after its length was compared with that of the file."""
    length = int.from_bytes(file.read(LENGTH), "little")
    if length > size - LENGTH:
        raise ValueError(f"its header would be {length:,} bytes long, and the file has {size:,}")
    if length > MAX_HEADER:
        raise DatasetError(f"its header is {length:,} bytes long, and {MAX_HEADER:,} are allowed")
    header = json.loads(file.read(length).decode())  # of bytes, json would guess the encoding
    if not isinstance(header, dict) or not all(isinstance(entry, dict) for entry in header.values()):
        raise ValueError("its header is no object of objects")
    if not all(isinstance(text, str) for text in header.get("__metadata__", {}).values()):
        raise ValueError("its header has metadata that are no texts")
    return header


def _check_types(tensors: Mapping[str, Json], kind: FileKind) -> None:
    """
    :param tensors: what a header says of each tensor
    :raises DatasetError: for too many of them, a name that is too long, or a type that the kind does not have
    """
    if len(tensors) > MAX_TENSORS:
        raise DatasetError(f"it has {len(tensors):,} tensors, and {MAX_TENSORS:,} are allowed")
    for name, entry in tensors.items():
        if len(name) > MAX_NAME:
            raise DatasetError(
                f"the name of a tensor has {len(name):,} characters, and {MAX_NAME} are allowed: {name[:40]}..."
            )
        allowed = next(types for beginning, types in kind.types.items() if name.startswith(beginning))
        if entry.get("dtype") not in allowed:
            dtype = DTYPES.get(str(entry.get("dtype")), str(entry.get("dtype"))[:20])
            raise DatasetError(f"`{name}` has dtype {dtype}, expected {DTYPES[allowed[0]]}")


def digest_of(tensors: Mapping[str, th.Tensor], info: str) -> str:
    """SHA-256 of tensors and a text."""
    sha = hashlib.sha256(info.encode())
    for name in sorted(tensors):
        value = tensors[name]
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        sha.update(value.contiguous().numpy().tobytes())
    return sha.hexdigest()


def checked_tensor(tensors: Mapping[str, th.Tensor], name: str, shape: tuple[int | None, ...]) -> th.Tensor:
    """
    :param tensors: the tensors of a file
    :param name: name of one tensor
    :param shape: the shape that it must have; ``None`` for any size
    :return: that tensor
    :raises DatasetError: if it is missing, or of another shape
    """
    if name not in tensors:
        raise DatasetError(f"`{name}` is missing")
    stored = tuple(tensors[name].shape)
    if len(stored) != len(shape) or any(want not in (None, got) for want, got in zip(shape, stored, strict=True)):
        wanted = tuple("k" if size is None else size for size in shape)
        raise DatasetError(f"`{name}` has shape {stored}, expected {wanted}")
    return tensors[name]


def checked_batch(
    tensors: Mapping[str, th.Tensor], observation_space: Space, action_space: Space
) -> tuple[Observations, th.Tensor, th.Tensor | None]:
    """
    :param tensors: tensors of a file
    :param observation_space: the observation space that the file names
    :param action_space: the action space that it names
    :return: observations ``(k, *preprocessed shape)``, or one such tensor per key; labels ``(k, n_outputs)``; and log-stds
        ``(n_outputs,)`` for a ``Box`` of actions
    :raises DatasetError: if one of them is missing, or does not fit its space
    """
    width, shape = n_outputs(action_space), preprocessed_shape(observation_space)
    labels = checked_tensor(tensors, "labels", (None, width))
    k = labels.shape[0]
    if k < 1:
        raise DatasetError("`labels` has no instances")
    if ("log_std" in tensors) != isinstance(action_space, spaces.Box):
        raise DatasetError("`log_std` must be there for a Box action space, and for no other")
    observations: Observations
    if isinstance(shape, dict):
        observations = {key: checked_tensor(tensors, f"observations.{key}", (k, *shape[key])) for key in shape}
    else:
        observations = checked_tensor(tensors, "observations", (k, *shape))
    return observations, labels, checked_tensor(tensors, "log_std", (width,)) if "log_std" in tensors else None


def flatten(name: str, statistics: Statistics) -> dict[str, th.Tensor]:
    """Statistics of observations as tensors: one, or with a ``Dict`` space one for each key, ``<name>.<key>``."""
    return {name if key is None else f"{name}.{key}": th.as_tensor(value) for key, value in named_leaves(statistics)}


def unflatten(name: str, tensors: Mapping[str, th.Tensor]) -> Statistics | None:
    """The statistics that ``flatten`` made tensors of; ``None`` if there are none."""
    if name in tensors:
        return tensors[name].numpy()
    parts = {key.removeprefix(f"{name}."): value.numpy() for key, value in tensors.items() if key.startswith(f"{name}.")}
    return parts or None
