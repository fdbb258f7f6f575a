"""What a dataset file says about itself besides its tensors."""

import contextlib
import importlib.metadata
import platform
from dataclasses import MISSING, dataclass, field, fields

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from sb3_distill.dataset.normalization import Normalization, Statistics
from sb3_distill.dataset.wrapper_records import hint
from sb3_distill.errors import DatasetError, MisfitError
from sb3_distill.spaces.checks import describe, difference, same_kind, same_order
from sb3_distill.spaces.serialization import space_from_json, space_to_json
from sb3_distill.spaces.values import as_json, decode, plain
from sb3_distill.trees import named_leaves
from sb3_distill.typing import Json, Kwargs, Space


@dataclass
class DatasetInfo:
    """
    :param observation_space: observation space of the environment, as the policy sees it
    :param action_space: action space of the environment
    :param env_id: Gymnasium id of the environment; ``None`` if it has none
    :param env_kwargs: keyword arguments of the environment in JSON form, see ``env_arguments``
    :param wrappers: wrappers that must be put around the environment, by name with arguments
    :param policy: alias of the policy (``"MlpPolicy"``), or ``None`` if a custom class was used
    :param policy_kwargs: its keyword arguments in JSON form, see ``policy_kwargs_to_json``
    :param learner_distribution: the learners that the set was made to teach, in JSON form
    :param inner_loop: kind of inner learning and its settings
    :param encoder_layers: how many layers of a learner are the encoder's
    :param loss: outer loss
    :param seed: seed of the distillation
    :param timesteps: environment steps that the distillation took
    :param scores: results by name, e.g. ``{"sampled": {"mean": 500.0, ...}}``
    :param normalization: statistics of the observations; ``None`` if they were not normalised
    :param return_variance: variance by which rewards were scaled, for learning that goes on; ``None`` if they were not
    :param versions: versions of the libraries that made the dataset
    :param module: name of the function that makes learners which are no policies, ``"package.module:name"``
    :param arguments: what the run chose for its task, or was given: see ``online.description.chosen``
    :param data: what is to be known of the examples that the dataset was distilled from, instead of an environment
    """

    observation_space: Space
    action_space: Space
    env_id: str | None = None
    env_kwargs: Json = field(default_factory=dict)
    wrappers: list[Json] = field(default_factory=list)
    policy: str | None = None
    policy_kwargs: Json = field(default_factory=dict)
    learner_distribution: list[Json] = field(default_factory=list)
    inner_loop: Json = field(default_factory=dict)
    encoder_layers: int = 0
    loss: str = "ppo"
    seed: int | None = None
    timesteps: int = 0
    scores: Json = field(default_factory=dict)
    normalization: Normalization | None = None
    return_variance: float | None = None
    versions: dict[str, str] = field(default_factory=lambda: library_versions())
    module: str | None = None
    arguments: Json = field(default_factory=dict)
    data: Json = field(default_factory=dict)

    def __setstate__(self, state: Json) -> None:
        """What was pickled before a field was there has its default."""
        self.__dict__.update(state)
        for entry in fields(self):
            if entry.name not in state:
                setattr(self, entry.name, entry.default if entry.default_factory is MISSING else entry.default_factory())

    @property
    def env_arguments(self) -> Kwargs:
        """The keyword arguments of the environment as they were: tuples, arrays and dicts of any keys too."""
        return {key: decode(value) for key, value in self.env_kwargs.items()}

    def inherit_progress(self, before: "DatasetInfo") -> None:
        """
        :param before: description of the dataset that this one continues: its steps count, and its statistics are still true
        """
        self.timesteps, self.normalization = before.timesteps, before.normalization
        self.return_variance = before.return_variance

    def check_spaces(self, observation_space: Space, action_space: Space, holder: str, in_order: bool) -> None:
        """See ``SyntheticDataset.check_spaces``."""
        expected = (self.observation_space, self.action_space)
        if (mismatch := difference(expected, (observation_space, action_space))) is not None:
            name, wanted, got = mismatch
            advice = other_version(self.env_id) if name == "observation" else ""
            if self.wrappers:
                advice = f"; {hint(self.wrappers)}"
            elif not advice and same_kind(expected[1], action_space):
                advice = "; is a wrapper of the environment missing (RescaleAction)?"
            raise MisfitError(f"the dataset was made for {name} space {wanted}, the {holder} has {got}{advice}")
        if in_order and not same_order(expected[0], observation_space):
            raise MisfitError(
                f"the dataset was made for {describe(expected[0])}, the {holder} has these keys in another order, "
                f"{describe(observation_space)}, and networks see them in that order: put them into the order of the dataset "
                "with a wrapper"
            )

    def check_normalization(self) -> None:
        """
        :raises DatasetError: if the statistics of observations are not those of the observation space
        """
        normalization = self.normalization
        if normalization is None:
            return
        if not isinstance(normalization, Normalization):
            raise DatasetError("the metadata speak of a normalisation, but `obs_mean` or `obs_var` is missing")
        scale = normalization.stored_scale
        if scale is not None and not (scale > 0).all():
            raise DatasetError("`obs_scale` has entries that are not positive")
        statistics: list[tuple[str, Statistics]] = [("obs_mean", normalization.mean), ("obs_var", normalization.var)]
        statistics += [] if scale is None else [("obs_scale", scale)]
        for name, values in statistics:
            for key, array in named_leaves(values):
                shape = self.observation_space.shape if key is None else self.observation_space[key].shape  # type: ignore[index]
                if array.shape != shape:
                    raise DatasetError(f"`{name}` has shape {array.shape}, the observations have {shape}")
                if name == "obs_var" and (array < 0).any():
                    raise DatasetError("`obs_var` has negative entries")

    def to_json(self) -> Json:
        """All fields but the arrays of ``normalization``, which are tensors of the file."""
        data = {key: value for key, value in vars(self).items() if key not in ("observation_space", "action_space")}
        data["observation_space"] = space_to_json(self.observation_space)
        data["action_space"] = space_to_json(self.action_space)
        if self.normalization is not None:
            data["normalization"] = {"clip": self.normalization.clip, "epsilon": self.normalization.epsilon}
        data["env_kwargs"] = {key: as_json(value) for key, value in self.env_kwargs.items()}
        return {key: plain(value) for key, value in data.items()}

    @classmethod
    def from_json(
        cls, data: Json, statistics: tuple[Statistics, Statistics] | None, scale: npt.NDArray[np.float32] | None = None
    ) -> "DatasetInfo":
        """
        :param data: what ``to_json`` returned
        :param statistics: mean and variance of the observations, if the file has them
        :param scale: learned weights of the observations, if the file has them
        :raises KeyError, ValueError, TypeError: if fields are missing or malformed
        """
        data = dict(data)
        for key in ("observation_space", "action_space"):
            data[key] = space_from_json(data[key])
        if statistics is not None:
            data["normalization"] = Normalization(*statistics, **data["normalization"], scale=scale)
        return cls(**data)


def other_version(env_id: str | None) -> str:
    """Advice for an id of a task that Gymnasium has in several versions; empty for any other."""
    name = env_id and env_id.rpartition("-v")[0]
    several = bool(name) and sum(other.rpartition("-v")[0] == name for other in gym.registry) > 1
    return f"; it was made on {env_id}, and versions of a task may show different observations" if several else ""


def library_versions() -> dict[str, str]:
    """Versions of everything that may change what a dataset does."""
    versions = {"python": platform.python_version()}
    for package in ("sb3-distill", "stable-baselines3", "gymnasium", "torch", "numpy", "mujoco", "envpool", "ale-py"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # the last ones are extras
            versions[package] = importlib.metadata.version(package)
    return versions
