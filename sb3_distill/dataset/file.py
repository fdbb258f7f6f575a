"""The file of a dataset: safetensors with a checksum and a description, and where the shipped ones are."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import safetensors
import torch as th
from safetensors.torch import save

from sb3_distill.dataset.normalization import Statistics
from sb3_distill.errors import ArgumentError, DatasetError
from sb3_distill.trees import named_leaves
from sb3_distill.typing import Json

FORMAT = "sb3-distill/dataset"
FORMAT_VERSION = 1


def check_path(path: str | os.PathLike[str]) -> Path:
    """
    Whether a dataset can be written there; what takes long asks before.

    :param path: of a file; its folder is made if missing
    :return: the path
    :raises ValueError: if it does not end in ``.safetensors``, or is a folder
    :raises OSError: if its folder cannot be made
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ArgumentError(f"a dataset file must be called *.safetensors, got {path}")
    if path.is_dir():
        raise ArgumentError(f"{path} is a folder, not a dataset file")
    path.parent.mkdir(parents=True, exist_ok=True)
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
    """
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


def write(path: Path, tensors: Mapping[str, th.Tensor], info: Json) -> None:
    """
    :param path: see ``check_path``
    :param tensors: on the CPU, contiguous
    :param info: what the file says about them
    """
    text = json.dumps(info, sort_keys=True)
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "sha256": _digest(tensors, text),
        "info": text,
    }
    write_whole(path, save(dict(tensors), metadata))


def write_whole(path: Path, content: bytes) -> None:
    """The file appears whole or not at all."""
    scratch = path.with_name(path.name + ".part")
    scratch.write_bytes(content)
    os.replace(scratch, path)


def read(path: Path) -> tuple[Json, dict[str, th.Tensor]]:
    """
    :param path: of a file that is there
    :return: what it says about its tensors, and these
    :raises DatasetError: if it is damaged, of a newer format, or holds what is not a finite number in single precision
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}
    except (safetensors.SafetensorError, OSError) as error:
        raise DatasetError(f"{path} is not a readable safetensors file (truncated, damaged or renamed): {error}") from error
    if metadata.get("format") != FORMAT:
        raise DatasetError(f"{path} is a safetensors file, but not one of sb3-distill")
    try:
        version = int(metadata["format_version"])
    except (KeyError, ValueError):
        raise DatasetError(f"{path} does not say its format version") from None
    if version < 1:
        raise DatasetError(f"{path} has format version {version}")
    if version > FORMAT_VERSION:
        raise DatasetError(
            f"{path} has format version {version}, this sb3-distill reads up to {FORMAT_VERSION}: upgrade sb3-distill"
        )
    if metadata.get("sha256") != _digest(tensors, metadata.get("info", "")):
        raise DatasetError(f"{path} is damaged: its contents do not match their checksum")
    for name, value in tensors.items():
        if value.dtype != th.float32 and not name.startswith("obs_"):
            raise DatasetError(f"{path}: `{name}` has dtype {value.dtype}, expected torch.float32")
        if not value.isfinite().all():
            raise DatasetError(f"{path}: `{name}` contains NaN or infinite values")
    try:
        info: Json = json.loads(metadata["info"])
    except (KeyError, ValueError) as error:
        raise DatasetError(f"{path} has malformed metadata: {error!r}") from error
    return info, tensors


def _digest(tensors: Mapping[str, th.Tensor], info: str) -> str:
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


def flatten(name: str, statistics: Statistics) -> dict[str, th.Tensor]:
    """Statistics of observations as tensors: one, or with a ``Dict`` space one for each key, ``<name>.<key>``."""
    return {name if key is None else f"{name}.{key}": th.as_tensor(value) for key, value in named_leaves(statistics)}


def unflatten(name: str, tensors: Mapping[str, th.Tensor]) -> Statistics | None:
    """The statistics that ``flatten`` made tensors of; ``None`` if there are none."""
    if name in tensors:
        return tensors[name].numpy()
    parts = {key.removeprefix(f"{name}."): value.numpy() for key, value in tensors.items() if key.startswith(f"{name}.")}
    return parts or None
