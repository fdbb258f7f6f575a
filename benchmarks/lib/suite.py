"""What a suite is: tasks of one kind that are solved in several ways, and where each way leaves what it makes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from benchmarks.lib.results import DATASETS, RUNS
from benchmarks.lib.score import random_policy
from sb3_distill import SyntheticDataset, make_vec_env
from sb3_distill.typing import Json

KINDS: dict[str, Json] = {"sgd": dict(inner_rate_per_role=True), "ridge": dict(inner_loop="ridge")}
"""Inner loops, by name: arguments of ``PPMO``."""
CLONES = {"clone": "sgd", "clone-ridge": "ridge"}
"""Imitations of PPO's agent, and the inner loop of each."""
WEIGHTED_CLONE: Json = dict(dataset_init="observations", input_scale_learning_rate=0.01)
"""For observations of which most are of little use."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """
    :param name: name of the file of results
    :param env_id: id of a task, with {} for the name of the task
    :param steps: environment steps of a first pass, for each task
    :param settings: arguments of ``PPMO``
    :param changes: arguments of ``PPMO`` for single tasks ("Pong"), and for single kinds of these ("Pong/ridge")
    :param clone_changes: arguments of ``clone`` for single tasks
    :param ppo_settings: arguments of SB3's ``PPO``
    :param vec_normalize: arguments of ``VecNormalize`` for single tasks
    :param vec_env_cls: vector environment of learning; evaluation is always where ``make_vec_env`` puts the dataset
    :param shipped_kinds: inner loops whose sets are shipped under names with the kind in them
    :param others: further ways to a score, by name: functions of an environment's id
    """

    name: str
    env_id: str
    steps: Mapping[str, float]
    settings: Json
    changes: Mapping[str, Json] = field(default_factory=dict)
    clone_changes: Mapping[str, Json] = field(default_factory=dict)
    ppo_settings: Json = field(default_factory=dict)
    vec_normalize: Mapping[str, Json] = field(default_factory=dict)
    vec_env_cls: type[VecEnv] | None = None
    shipped_kinds: Sequence[str] = ("sgd",)
    others: Mapping[str, Callable[[str], Json]] = field(default_factory=lambda: {"random": random_policy})

    @property
    def kinds(self) -> list[str]:
        """All ways to a score."""
        return [*self.others, "ppo", *CLONES, *KINDS]

    def file(self, task: str, kind: str, seed: int, ending: str = "safetensors") -> Path:
        """Where a run leaves what it makes."""
        return RUNS / f"{self.env_id.format(task).rpartition('-v')[0]}-{kind}-{seed}.{ending}"

    def existing_file(self, task: str, kind: str, seed: int, ending: str = "safetensors") -> Path:
        """
        :return: the file that an earlier run has left
        :raises SystemExit: if there is none, with the command that makes it
        """
        path = self.file(task, kind, seed, ending)
        if not path.exists():
            raise SystemExit(f"{path} is missing: run --tasks {task} --kinds {kind} --seeds {seed} --anew first")
        return path

    def best_set(self, task: str, kind: str, seed: int) -> Path | None:
        """The best set of a cell: in runs/, else in the package, where the better kind of a task has the name of the task."""
        env_id = self.env_id.format(task)
        for path in (self.file(task, kind, seed), DATASETS / f"{env_id}--{kind}.safetensors"):
            if path.exists():
                return path
        better = DATASETS / f"{env_id}.safetensors"
        return better if better.exists() and SyntheticDataset.load(better).inner_loop.name == kind else None

    def make_env(self, task: str, n_envs: int, seed: int | None = None) -> VecEnv:
        """Environments to learn in, as they are."""
        return make_vec_env(self.env_id.format(task), n_envs, seed=seed, vec_env_cls=self.vec_env_cls)

    def learning_env(self, task: str, n_envs: int, seed: int, gamma: float = 0.99) -> VecNormalize:
        """Environments to learn in, normalised."""
        return VecNormalize(self.make_env(task, n_envs, seed), gamma=gamma, **self.vec_normalize.get(task, {}))

    def settings_of(self, task: str, kind: str) -> Json:
        """Arguments of ``PPMO``."""
        changes = {**self.changes.get(task, {}), **self.changes.get(f"{task}/{kind}", {})}
        return {**self.settings, **KINDS[kind], **changes}
