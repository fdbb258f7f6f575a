"""Runs that can be cut off at any moment and go on from where they were minutes ago."""

import os
import pickle
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize

from sb3_distill.errors import ArgumentError

MODEL, STATISTICS = "model.zip", "vecnormalize.pkl"


class Checkpoints(BaseCallback):
    """
    Saves model and statistics of the environment after a rollout every few minutes, and at the end. A checkpoint is a folder
    that appears whole or not at all, and the one before is kept too. What ``resume`` returns goes on with
    ``learn(..., reset_num_timesteps=False)``.

    :param folder: where to, ``<folder>/<timesteps>/``
    :param minutes: between two checkpoints
    :raises ValueError: when learning starts, if that is from step 0 and the folder holds another run
    """

    def __init__(self, folder: str | os.PathLike[str], minutes: float = 3.0) -> None:
        super().__init__()
        self.folder, self.minutes = Path(folder), minutes
        self._last = self._counted = time.monotonic()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        # Here the rollout before has been learned from; earlier, its steps would be counted and lost.
        self._count()
        if time.monotonic() - self._last >= 60 * self.minutes:
            save(self.model, self.folder)
            self._last = time.monotonic()

    def _on_training_start(self) -> None:
        known = next(filter(_is_whole, found(self.folder)), None) if self.model.num_timesteps == 0 else None
        if known is not None:
            raise ArgumentError(
                f"{self.folder} holds a run of {int(known.name):,} steps: `resume` it and go on with "
                "learn(..., reset_num_timesteps=False), or take another folder"
            )
        self._counted = time.monotonic()

    def _on_training_end(self) -> None:
        self._count()
        save(self.model, self.folder)

    def _count(self) -> None:
        """Tell the model how long it has been learning, over all its runs."""
        now = time.monotonic()
        model: Any = self.model
        model.learning_seconds = getattr(model, "learning_seconds", 0.0) + now - self._counted
        self._counted = now


def save(model: BaseAlgorithm, folder: str | os.PathLike[str]) -> Path:
    """
    :param model: of any algorithm
    :param folder: of the checkpoints of this run
    :return: the folder of the new one
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
    everything = found(folder)
    kept = [one for one in everything if one.name <= path.name][:2]  # it, and the one before
    for other in set(everything).difference(kept):  # later ones could not be read, or learning would have begun there
        shutil.rmtree(other)
    return path


def resume(algorithm: type[BaseAlgorithm], folder: str | os.PathLike[str], env: VecEnv, **kwargs: Any) -> Any:
    """
    :param algorithm: that was saved
    :param folder: of the checkpoints of the run
    :param env: as the run had it, new; its statistics are put back
    :param kwargs: further arguments of the algorithm's ``load``
    :return: the model of the latest checkpoint that can be read; ``None`` if there is no checkpoint
    :raises ValueError: if there are some and none can be read
    """
    normalizer, paths = unwrap_vec_normalize(env), found(folder)
    for path in paths:
        if not _is_whole(path):
            continue
        if normalizer is not None:
            try:
                saved = VecNormalize.load(str(path / STATISTICS), normalizer.venv)
            except (OSError, EOFError, pickle.UnpicklingError):
                continue
            for name in ("obs_rms", "ret_rms") if saved.norm_obs else ("ret_rms",):
                setattr(normalizer, name, getattr(saved, name))
        return algorithm.load(path / MODEL, env, **kwargs)
    if paths and normalizer is not None and not any((path / STATISTICS).exists() for path in paths):
        raise ArgumentError(f"what is in {folder} was saved without a VecNormalize: leave it out")
    if paths:
        raise ArgumentError(f"none of the checkpoints in {folder} can be read: delete them to start anew")
    return None


def found(folder: str | os.PathLike[str]) -> list[Path]:
    """
    :param folder: of the checkpoints of a run
    :return: them, the latest first
    """
    entries = Path(folder).iterdir() if Path(folder).is_dir() else []
    return sorted((path for path in entries if path.name.isdigit()), reverse=True)


def _is_whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path / MODEL) as archive:
            # Where a file is cut, the directory of a file inside may be taken for its own.
            return "_stable_baselines3_version" in archive.namelist() and archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False
