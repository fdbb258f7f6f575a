"""A landscape of every seed, and one report of all."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch as th
from safetensors.torch import load, save
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from tqdm.auto import tqdm

from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.environments.foreign.hand_over import EnvSource
from sb3_distill.errors import ArgumentError
from sb3_distill.landscape.figures.compare import N_CONTROLS, compare
from sb3_distill.landscape.landscape import Landscape
from sb3_distill.landscape.names import Directions, check_size
from sb3_distill.landscape.report import LandscapeReport
from sb3_distill.trees import named_leaves
from sb3_distill.typing import Json
from sb3_distill.whole_files import write_whole


def landscape_report(
    dataset: DatasetLike,
    rl: BaseAlgorithm | BasePolicy | int | None = None,
    n_seeds: int = 3,
    size: int = 21,
    n_episodes: int = 16,
    n_planes: int = 5,
    n_controls: int = N_CONTROLS,
    seed: int = 0,
    env: EnvSource | None = None,
    rl_settings: Mapping[str, Any] | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress_bar: bool = False,
    device: th.device | str = "cpu",
    name: str | None = None,
) -> LandscapeReport:
    """
    Measure the figures of ``report.TITLES`` around a learner of every seed. ``docs/landscapes.md`` has the formulas.

    :param dataset: a dataset, a path, or the name of a shipped set
    :param rl: timesteps of RL from the same start, or a trained model, see ``Landscape.around``
    :param n_seeds: number of seeds, the first of which is ``seed``
    :param size: number of points along each side of the planes
    :param n_episodes: number of episodes of each point
    :param n_planes: number of planes of each kind, see ``figures.compare``
    :param n_controls: draws of shuffled and of random labels; 0 for no controls
    :param seed: seed of the first learner
    :param env: the environment, see ``evaluate_learners``; ``None`` for the dataset's
    :param rl_settings: arguments of ``PPO``
    :param folder: folder where paths of RL and figures of each seed are kept; a study that was cut off goes on there, and one
        with other arguments begins anew beside it. ``None`` for none
    :param progress_bar: whether a bar is shown
    :param device: device of the networks
    :param name: name of the set in tables; ``None`` for the one it was loaded by, or its task
    :return: the report
    :raises ValueError: for a number of seeds or planes below 1, a size below 3, and see ``Landscape.around``
    """
    name = name or (str(dataset) if isinstance(dataset, (str, os.PathLike)) else None)
    check_size(size)
    for label, number, least in (
        ("n_seeds", n_seeds, 1), ("n_episodes", n_episodes, 1), ("n_planes", n_planes, 1), ("n_controls", n_controls, 0)
    ):  # fmt: skip
        if number < least:
            raise ArgumentError(f"`{label}` must be at least {least}, got {number}")
    dataset = SyntheticDataset.of(dataset)
    keep = Keep.of(folder, dataset, rl, rl_settings, (size, n_episodes, n_planes, n_controls))
    parts = []
    with tqdm(total=n_seeds * (2 if rl is not None else 1) * n_planes, unit="plane", disable=not progress_bar) as bar:
        for one in range(seed, seed + n_seeds):
            part = keep.report(one)
            if part is None:
                bar.set_description(f"seed {one}: RL")
                landscape = around(dataset, one, rl, env=env, rl_settings=rl_settings, keep=keep, device=device)
                bar.set_description(f"seed {one}")
                part = compare(landscape, size, n_episodes, n_planes, n_controls, name, bar)
                keep.write_report(one, part)
            parts.append(part)
    return LandscapeReport.joined(parts)


def around(
    dataset: SyntheticDataset,
    seed: int,
    rl: BaseAlgorithm | BasePolicy | int | None,
    directions: Directions = "random",
    n_planes: int = 1,
    env: EnvSource | None = None,
    rl_settings: Mapping[str, Any] | None = None,
    keep: "Keep | None" = None,
    device: th.device | str = "cpu",
) -> Landscape:
    """
    ``Landscape.around``, with a path of RL that was kept where there is one.

    :param keep: where paths are kept; ``None`` for nowhere
    :return: the landscape; the other parameters are those of ``Landscape.around``
    """
    path = keep.path(seed) if keep is not None else None
    arguments: Json = {"env": env, "rl_settings": rl_settings, "device": device}
    landscape = Landscape.around(dataset, seed, rl if path is None else path, directions, n_planes, **arguments)
    if keep is not None and path is None and landscape.path is not None:
        keep.write_path(seed, landscape.path)
    return landscape


class Keep:
    """
    What of a study is kept in a folder.

    :param folder: the folder; ``None`` keeps nothing
    :param trained: key of the dataset and the RL training
    :param measured: key of these and of all that is measured
    """

    def __init__(self, folder: Path | None, trained: str, measured: str) -> None:
        self.folder, self.trained, self.measured = folder, trained, measured

    @classmethod
    def of(
        cls,
        folder: str | os.PathLike[str] | None,
        dataset: SyntheticDataset,
        rl: object,
        rl_settings: Mapping[str, Any] | None,
        sizes: tuple[int, ...],
    ) -> "Keep":
        """
        :param folder: the folder, or ``None``
        :param dataset: the set, whose numbers are part of the keys
        :param rl: timesteps of RL; a trained model is not kept
        :param rl_settings: arguments of ``PPO``
        :param sizes: numbers that say what is measured
        """
        info = dataset.info
        task = [info.env_id, info.env_kwargs, info.wrappers, info.policy, info.policy_kwargs, rl, rl_settings]
        sha = hashlib.sha256(json.dumps(task, sort_keys=True, default=str).encode())
        seen = [] if dataset.encoder is None else list(dataset.encoder.parameters())
        for value in seen:  # RL sees what learners see: sets of one task share its path unless they change what is seen
            sha.update(value.detach().cpu().numpy().tobytes())
        if info.normalization is not None:
            for _, array in [*named_leaves(info.normalization.mean), *named_leaves(info.normalization.var)]:
                sha.update(array.tobytes())
            sha.update(b"" if dataset.log_input_scale is None else dataset.log_input_scale.detach().cpu().numpy().tobytes())
        trained = sha.hexdigest()[:12]
        sha.update(json.dumps([info.inner_loop, list(sizes)], sort_keys=True).encode())
        for value in dataset.parameters():
            sha.update(value.detach().cpu().numpy().tobytes())
        measured = sha.hexdigest()[:12]
        return cls(Path(folder) if folder is not None and isinstance(rl, int | None) else None, trained, measured)

    def path(self, seed: int) -> th.Tensor | None:
        """
        :param seed: seed of a learner
        :return: the path of its RL training ``(T, d)``; ``None`` if there is none yet
        """
        file = self._file(f"rl-{self.trained}-{seed}.safetensors")
        return load(file.read_bytes())["path"] if file is not None and file.exists() else None

    def write_path(self, seed: int, path: th.Tensor) -> None:
        """
        :param seed: seed of a learner
        :param path: the path of its RL training ``(T, d)``
        """
        if (file := self._file(f"rl-{self.trained}-{seed}.safetensors")) is not None:
            write_whole(file, save({"path": path.cpu().contiguous()}))

    def report(self, seed: int) -> LandscapeReport | None:
        """
        :param seed: seed of a learner
        :return: its figures; ``None`` if there are none yet
        """
        file = self._file(f"figures-{self.measured}-{seed}.json")
        return LandscapeReport.from_summary(json.loads(file.read_text())) if file is not None and file.exists() else None

    def write_report(self, seed: int, report: LandscapeReport) -> None:
        """
        :param seed: seed of a learner
        :param report: its figures
        """
        if (file := self._file(f"figures-{self.measured}-{seed}.json")) is not None:
            write_whole(file, json.dumps(report.summary()).encode())

    def _file(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / name
