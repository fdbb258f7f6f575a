"""Runs that can be cut off at any moment and go on from where they were minutes ago."""

import os
import pickle
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any, TypeVar

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize

from sb3_distill.errors import ArgumentError

MODEL, STATISTICS = "model.zip", "vecnormalize.pkl"
"""Files of a checkpoint; statistics only where there is a ``VecNormalize``."""
LEARNING_SECONDS = "learning_seconds"
"""
Attribute that ``Checkpoints`` gives to a model: how long it has been learning, over all its runs. SB3 saves every attribute of
a model, so that this one is part of each checkpoint, and a model that goes on in another folder keeps counting.
"""
Algorithm = TypeVar("Algorithm", bound=BaseAlgorithm)


class Checkpoints(BaseCallback):
    """
    Saves model and statistics of the environment after a rollout every few minutes, and at the end. A checkpoint is a folder
    that appears whole or not at all, and the one before is kept too. What ``resume`` returns goes on with
    ``learn(..., reset_num_timesteps=False)``.

    :param folder: folder of the run; a checkpoint is ``<folder>/<timesteps>/``
    :param minutes: time between two checkpoints
    :raises ValueError: when learning starts, if that is from step 0 and the folder holds another run
    """

    saves_model = True
    """For algorithms whose models cannot be saved, see ``dagger.saving``."""

    def __init__(self, folder: str | os.PathLike[str], minutes: float = 3.0) -> None:
        super().__init__()
        self.folder, self.minutes = Path(folder), minutes
        self._last = self._counted = time.monotonic()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        # Save here: only now has the previous rollout been learned from.
        self._count_seconds()
        if time.monotonic() - self._last >= 60 * self.minutes:
            save(self.model, self.folder)
            self._last = time.monotonic()

    def _on_training_start(self) -> None:
        if self.model.num_timesteps == 0 and (others := [path for path in checkpoints_in(self.folder) if _is_whole(path)]):
            raise ArgumentError(
                f"{self.folder} holds a run of {int(others[0].name):,} steps: `resume` it and go on with "
                "learn(..., reset_num_timesteps=False), or take another folder"
            )
        self._counted = time.monotonic()

    def _on_training_end(self) -> None:
        self._count_seconds()
        save(self.model, self.folder)

    def _count_seconds(self) -> None:
        now = time.monotonic()
        setattr(self.model, LEARNING_SECONDS, learning_seconds(self.model) + now - self._counted)
        self._counted = now


def learning_seconds(model: BaseAlgorithm) -> float:
    """
    :param model: a model of any algorithm
    :return: seconds that it has been learning with ``Checkpoints``, over all its runs
    """
    return float(getattr(model, LEARNING_SECONDS, 0.0))


def save(model: BaseAlgorithm, folder: str | os.PathLike[str]) -> Path:
    """
    :param model: a model of any algorithm
    :param folder: folder of the run
    :return: the folder of the new checkpoint
    """
    path = Path(folder) / f"{model.num_timesteps:012d}"
    part = path.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    model.save(part / MODEL)
    env = model.get_vec_normalize_env()
    if env is not None:
        env.save(str(part / STATISTICS))
    shutil.rmtree(path, ignore_errors=True)
    part.replace(path)
    everything = checkpoints_in(folder)
    kept = [one for one in everything if one.name <= path.name][:2]  # it, and the one before
    for other in set(everything).difference(kept):  # newer ones are unreadable
        shutil.rmtree(other)
    return path


def resume(
    algorithm: type[Algorithm],
    folder: str | os.PathLike[str],
    env: VecEnv,
    **kwargs: Any,
) -> Algorithm | None:
    """
    :param algorithm: class of the model that was saved
    :param folder: folder of the run
    :param env: new environments, made as those of the run were; their statistics are put back
    :param kwargs: further arguments of the algorithm's ``load``
    :return: the model of the latest checkpoint that can be read; ``None`` if there is no checkpoint
    :raises ValueError: if there are some and none can be read
    """
    normalizer, paths = unwrap_vec_normalize(env), checkpoints_in(folder)
    for path in filter(_is_whole, paths):
        if normalizer is None or _restore_statistics(normalizer, path / STATISTICS):
            return algorithm.load(path / MODEL, env, **kwargs)
    if paths and normalizer is not None and not any((path / STATISTICS).exists() for path in paths):
        raise ArgumentError(f"what is in {folder} was saved without a VecNormalize: leave it out")
    if paths:
        raise ArgumentError(f"none of the checkpoints in {folder} can be read: delete them to start anew")
    return None


def checkpoints_in(folder: str | os.PathLike[str]) -> list[Path]:
    """
    :param folder: folder of a run
    :return: the folders of its checkpoints, the latest first
    """
    entries = Path(folder).iterdir() if Path(folder).is_dir() else []
    return sorted((path for path in entries if path.name.isdigit()), reverse=True)


def _restore_statistics(normalizer: VecNormalize, path: Path) -> bool:
    """Whether the file could be read; if so, the normaliser has its statistics now."""
    try:
        saved = VecNormalize.load(str(path), normalizer.venv)
    except (OSError, EOFError, pickle.UnpicklingError):
        return False
    if saved.norm_obs:
        normalizer.obs_rms = saved.obs_rms
    normalizer.ret_rms = saved.ret_rms
    return True


def _is_whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path / MODEL) as archive:
            # Where a file is cut, the directory of a file inside may be taken for that of the whole.
            return "_stable_baselines3_version" in archive.namelist() and archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False
