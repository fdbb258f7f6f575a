"""One taught policy as a plain Stable-Baselines3 zip."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import stable_baselines3
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError
from sb3_distill.spaces.checks import SpacesOnly, describe, sees_images
from sb3_distill.teaching.distilled_policy import DistilledPolicy
from sb3_distill.teaching.folding import can_fold
from sb3_distill.typing import Json
from sb3_distill.whole_files import write_whole, write_zip

ACTOR_CRITICS = ("ppo", "a2c")
"""Algorithms with the policies that datasets name."""
ALGORITHMS = (*ACTOR_CRITICS, "dqn", "sac", "td3", "ddpg")
"""Algorithms whose zips can be written."""
IMAGES_KEPT = 10_000
"""Size of a replay buffer of images, where SB3's default would take tens of gigabytes at once."""
STATISTICS = "vecnormalize.pkl"
"""File of the normalisation, beside the zip."""


@dataclass(frozen=True)
class TaughtZip:
    """
    What was written.

    :param path: path of the zip
    :param buffer_size: size of its replay buffer, where that is not SB3's default
    :param is_folded: whether the normalisation of observations is part of the first layer, without its clipping
    :param statistics: file of the ``VecNormalize`` that the agent needs, if it needs one
    :param is_of_another_network: whether the dataset was distilled for another network than that of the algorithm
    """

    path: Path
    buffer_size: int | None
    is_folded: bool
    statistics: Path | None
    is_of_another_network: bool


def teach_as_zip(dataset: SyntheticDataset, algorithm: str, path: Path, seed: int | None = None) -> TaughtZip:
    """
    Teach a fresh policy and save it as an agent that SB3's ``load`` opens.

    Observations that are normalised are so by the first layer of the policy where that can be, else by statistics in a file
    beside the zip.

    :param dataset: dataset that teaches
    :param algorithm: one of ``ALGORITHMS``
    :param path: path of the zip
    :param seed: seed of the policy's initialisation
    :return: what was written
    :raises DatasetError: if the dataset does not fit a policy of the algorithm
    :raises ValueError: for an unknown algorithm, one without a policy for these actions, or a path that cannot be written
    :raises OSError: likewise
    """
    algorithm_class = _class_of(algorithm)
    actor_critic = algorithm in ACTOR_CRITICS
    policy_class = None if actor_critic else _policy_of(algorithm_class, dataset)
    policy = DistilledPolicy.from_dataset(dataset, policy_class, seed=seed)
    normalization = dataset.info.normalization
    folded = normalization is not None and can_fold(policy, normalization)
    kwargs: Json = {}
    if not actor_critic and sees_images(dataset.info.observation_space):
        kwargs["buffer_size"] = IMAGES_KEPT
    env = SpacesOnly(dataset.info.observation_space, dataset.info.action_space)
    model = policy.to_algorithm(algorithm_class, env, fold_normalization=folded, **kwargs)
    write_zip(path, model.save)
    statistics = None
    if (normalizer := model.get_vec_normalize_env()) is not None:
        statistics = path.with_name(STATISTICS)
        write_whole(statistics, pickle.dumps(normalizer))
    other_network = not actor_critic and dataset.inner_loop.name == "sgd"
    return TaughtZip(path, kwargs.get("buffer_size"), folded, statistics, other_network)


def _class_of(algorithm: str) -> type[BaseAlgorithm]:
    if algorithm not in ALGORITHMS:
        raise ArgumentError(f"`algorithm` must be one of {', '.join(ALGORITHMS)}, got {algorithm!r}")
    algorithm_class: type[BaseAlgorithm] = getattr(stable_baselines3, algorithm.upper())
    return algorithm_class


def _policy_of(algorithm: type[BaseAlgorithm], dataset: SyntheticDataset) -> type[BasePolicy]:
    """The policy of another kind of algorithm: its class of the same alias, with its default network."""
    actions = dataset.info.action_space
    if algorithm is stable_baselines3.DQN and not isinstance(actions, spaces.Discrete):
        raise ArgumentError(f"DQN has no policy for the actions of this dataset, {describe(actions)}")
    return algorithm.policy_aliases[dataset.info.policy or "MlpPolicy"]
