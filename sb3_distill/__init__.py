"""Distil reinforcement-learning environments into one small batch that teaches any Stable-Baselines3 policy in one step."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import nd_cartpole  # noqa: F401  (registers the environments)
import sb3_distill.environments.atari  # noqa: F401  (likewise)

if TYPE_CHECKING:
    from sb3_distill.dagger import DAgger, Expert, clone
    from sb3_distill.dataset import DatasetError, SyntheticDataset, shipped_sets
    from sb3_distill.ensemble import DistilledEnsemble, SupervisedEnsemble, evaluate_ensemble
    from sb3_distill.environments.make import make_vec_env
    from sb3_distill.evaluation import Evaluation, evaluate_learners
    from sb3_distill.generalisation import generalisation_report
    from sb3_distill.landscape import Landscape, landscape_report
    from sb3_distill.learners.component import LearnerComponent
    from sb3_distill.learners.distribution import LearnerDistribution
    from sb3_distill.offline import OfflineDistillation, Recording, record
    from sb3_distill.ppmo import PPMO
    from sb3_distill.search.architecture import PolicyArchitecture
    from sb3_distill.search.policy import ArchitecturePolicy
    from sb3_distill.search.space import SearchSpace
    from sb3_distill.spaces import min_instances
    from sb3_distill.supervised import SupervisedDistillation, evaluate_supervised, teach_module
    from sb3_distill.teaching.distilled_policy import DistilledPolicy

try:
    __version__ = version("sb3-distill")
except PackageNotFoundError:  # a copy of the source that was not installed
    __version__ = "unknown"

__all__ = [
    "PPMO",
    "ArchitecturePolicy",
    "DAgger",
    "DatasetError",
    "DistilledEnsemble",
    "DistilledPolicy",
    "Evaluation",
    "Expert",
    "Landscape",
    "LearnerComponent",
    "LearnerDistribution",
    "OfflineDistillation",
    "PolicyArchitecture",
    "Recording",
    "SearchSpace",
    "SupervisedDistillation",
    "SupervisedEnsemble",
    "SyntheticDataset",
    "clone",
    "evaluate_ensemble",
    "evaluate_learners",
    "evaluate_supervised",
    "generalisation_report",
    "landscape_report",
    "make_vec_env",
    "min_instances",
    "record",
    "shipped_sets",
    "teach_module",
]

_ROOM_OF = {
    "PPMO": "ppmo",
    "ArchitecturePolicy": "search.policy",
    "DAgger": "dagger",
    "DatasetError": "dataset",
    "DistilledEnsemble": "ensemble",
    "DistilledPolicy": "teaching.distilled_policy",
    "Evaluation": "evaluation",
    "Expert": "dagger",
    "Landscape": "landscape",
    "LearnerComponent": "learners.component",
    "LearnerDistribution": "learners.distribution",
    "OfflineDistillation": "offline",
    "PolicyArchitecture": "search.architecture",
    "Recording": "offline",
    "SearchSpace": "search.space",
    "SupervisedDistillation": "supervised",
    "SupervisedEnsemble": "ensemble",
    "SyntheticDataset": "dataset",
    "clone": "dagger",
    "evaluate_ensemble": "ensemble",
    "evaluate_learners": "evaluation",
    "evaluate_supervised": "supervised",
    "generalisation_report": "generalisation",
    "landscape_report": "landscape",
    "make_vec_env": "environments.make",
    "min_instances": "spaces",
    "record": "offline",
    "shipped_sets": "dataset",
    "teach_module": "supervised",
}
"""Where each public name lives; it is imported when it is first asked for."""


def __getattr__(name: str) -> object:
    if name in _ROOM_OF:
        value: object = getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
        globals()[name] = value
        return value
    if not name.startswith("_"):  # a room
        try:
            return import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
