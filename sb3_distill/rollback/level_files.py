"""The files of a ladder: a folder holds the dataset and the critic of each level, the results, and what all levels share."""

import json
import os
from pathlib import Path

import torch as th
from safetensors import SafetensorError
from safetensors.torch import load_file

from sb3_distill.dataset.file import pack
from sb3_distill.errors import ArgumentError
from sb3_distill.networks.anatomy import critic_of
from sb3_distill.ppmo import PPMO
from sb3_distill.typing import Json
from sb3_distill.whole_files import write_whole

RESULTS, RUN = "rollback.json", "run.json"
"""Files of the results, by level, and of what all levels share."""


def dataset_path(folder: Path, level: int) -> Path:
    """The file of the dataset of a level."""
    return folder / f"l{level}.safetensors"


def critic_path(folder: Path, level: int) -> Path:
    """The file of the critic of a level."""
    return folder / f"l{level}-critic.safetensors"


def checkpoint_folder(folder: Path, level: int) -> Path:
    """The folder of the checkpoints of a level."""
    return folder / f"l{level}"


def save_critic(model: PPMO, path: Path) -> None:
    """
    :param model: model whose critic is saved
    :param path: path of the file, see ``critic_path``
    """
    parameters = critic_of(model.normalized_policy).named_parameters()
    write_whole(path, pack({name: value.detach().cpu().contiguous() for name, value in parameters}))


@th.no_grad()
def carry_critic(model: PPMO, path: Path) -> None:
    """
    Start from the critic of another level, since a critic knows the task, whatever the level. Reward scaling travels in the
    dataset.

    :param model: model whose critic is changed
    :param path: file of a critic of the same shape, see ``critic_path``; if there is none, nothing happens
    :raises ValueError: if it cannot be read
    """
    if not path.exists():
        return
    try:
        saved = load_file(path)
    except SafetensorError as error:
        raise ArgumentError(f"{path} cannot be read ({error}): without it the critic is learned anew") from error
    trained = {id(value) for value in model.critic.parameters}
    for name, value in critic_of(model.normalized_policy).named_parameters():
        if id(value) in trained:  # else it is the encoder's
            value.copy_(saved[name])


def read_results(folder: str | os.PathLike[str]) -> dict[str, Json]:
    """
    :param folder: folder of a ladder
    :return: what ``rollback`` has written, by level
    :raises ValueError: if the file is damaged
    """
    return read_json(Path(folder) / RESULTS)


def read_json(path: Path) -> Json:
    """
    :return: what the file holds; nothing if there is no file
    :raises ValueError: if it is damaged
    """
    try:
        content: Json = json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise ArgumentError(f"{path} cannot be read: {error}") from error
    return content


def write_json(path: Path, content: Json) -> None:
    """The file appears whole or not at all; its folder is made if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode())
