"""Runs that can be cut off at any moment and go on from where they were minutes ago."""

import io
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
from sb3_distill.whole_files import check_writable, flush, remove_abandoned, scratch_beside

MODEL, STATISTICS = "model.zip", "vecnormalize.pkl"
"""Files of a checkpoint; statistics only where there is a ``VecNormalize``."""
REPLACED = ".replaced"
"""Ending of a checkpoint while a new one of the same step takes its place."""
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

    Where ``PPMO`` or ``DAgger`` is interrupted by Ctrl-C, what was learned until then is saved too. SB3's own algorithms do
    not tell their callbacks of an interruption.

    :param folder: folder of the run; a checkpoint is ``<folder>/<timesteps>/``
    :param minutes: time between two checkpoints
    :raises ValueError: when learning starts, if that is from step 0 and the folder holds another run of more steps
    :raises OSError: when learning starts, if the folder cannot be written, or the disk is full
    """

    saves_model = True
    """For algorithms whose models cannot be saved, see ``dagger.saving``."""

    def __init__(self, folder: str | os.PathLike[str], minutes: float = 3.0) -> None:
        super().__init__()
        self.folder, self.minutes = Path(folder), minutes
        self._last = self._counted = time.monotonic()
        self._n_learned: int | None = None
        """Number of steps that were learned from, while a rollout is made."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        # Save here: only now has the previous rollout been learned from.
        self._n_learned = self.model.num_timesteps
        self._count_seconds()
        if time.monotonic() - self._last >= 60 * self.minutes:
            save(self.model, self.folder)
            self._last = time.monotonic()

    def _on_rollout_end(self) -> None:
        self._n_learned = None

    def on_interruption(self) -> None:
        """Save what was learned; steps of a rollout that was cut off were not learned from, and are made again."""
        if not hasattr(self, "model"):  # interrupted before it learned
            return
        n_steps = self.model.num_timesteps if self._n_learned is None else self._n_learned
        if n_steps == 0 or (self._n_learned is not None and _path_of(self.folder, n_steps).exists()):
            return
        self._count_seconds()
        n_made, self.model.num_timesteps = self.model.num_timesteps, n_steps
        try:
            save(self.model, self.folder)
        finally:
            self.model.num_timesteps = n_made

    def _on_training_start(self) -> None:
        self._n_learned = self.model.num_timesteps
        others = [path for path in checkpoints_in(self.folder) if _steps_of(path) > 0 and _is_whole(path)]
        if self.model.num_timesteps == 0 and others:
            raise ArgumentError(
                f"{self.folder} holds a run of {_steps_of(others[0]):,} steps: `resume` it and go on with "
                "learn(..., reset_num_timesteps=False), or take another folder"
            )
        n_bytes = 3 * sum(value.nbytes for value in self.model.policy.parameters())  # with two moments of the optimizer
        check_writable(_path_of(self.folder, self.model.num_timesteps), n_bytes)
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
    :raises OSError: with its path, if it cannot be written; the checkpoints before stay
    """
    path = _path_of(folder, model.num_timesteps)
    content = io.BytesIO()
    model.save(content)
    env = model.get_vec_normalize_env()
    with scratch_beside(path) as part:
        new = part / path.name
        new.mkdir()
        files = [(MODEL, content.getvalue())] + ([] if env is None else [(STATISTICS, pickle.dumps(env))])
        for name, text in files:
            (new / name).write_bytes(text)
            flush(new / name)
        flush(new)
        if path.exists():  # folders cannot change places at once; `checkpoints_in` finds the old one meanwhile
            shutil.rmtree(path.with_suffix(REPLACED), ignore_errors=True)
            path.replace(path.with_suffix(REPLACED))
        new.replace(path)
        flush(path.parent)
    _keep_two(path)
    return path


def _keep_two(path: Path) -> None:
    """Remove all checkpoints but a new one and the one before; newer ones are unreadable."""
    everything = checkpoints_in(path.parent)
    kept = [one for one in everything if one.suffix != REPLACED and one.name <= path.name][:2]
    for other in set(everything).difference(kept):
        shutil.rmtree(other, ignore_errors=True)  # the new one is whole; the next save tries again
    remove_abandoned(path.parent, r"\d+\.")


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
    found = [path for path in entries if path.stem.isdigit() and path.suffix in ("", REPLACED)]
    return sorted(found, key=lambda path: (_steps_of(path), path.suffix == ""), reverse=True)


def _path_of(folder: str | os.PathLike[str], n_steps: int) -> Path:
    return Path(folder) / f"{n_steps:012d}"


def _steps_of(path: Path) -> int:
    """Number of steps of a checkpoint, as its folder says."""
    return int(path.stem)


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
