"""How a synthetic dataset starts."""

import copy
from collections.abc import Sequence
from typing import get_args

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.utils import obs_as_tensor

from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.inner_loop.loop import InnerLoop
from sb3_distill.learners.population import Learners
from sb3_distill.spaces.sizes import n_outputs, preprocessed_shape
from sb3_distill.trees import map_leaves, named_leaves, stack
from sb3_distill.typing import DatasetInit, Observations, RawObservations

DATASET_INITS: tuple[str, ...] = get_args(DatasetInit)
INITIAL_MEANS = 0.1
"""Standard deviation of the first labels of continuous actions: larger means cost control and hold actions at their bounds."""
LARGEST_START = 2.0
"""Largest allowed ratio of mean-square output to mean-square label (at most 1) before training."""


def draw_dataset(
    n_instances: int, inner_loop: InnerLoop, info: DatasetInfo, generator: th.Generator, log_std: float = 0.0
) -> SyntheticDataset:
    """
    A dataset of standard normal observations and labels, as in the paper (labels of continuous actions are smaller).

    :param n_instances: ``k``
    :param inner_loop: how learners will be trained on the dataset
    :param info: description of the dataset, which names the spaces
    :param generator: source of randomness (CPU)
    :param log_std: initial log-std of continuous actions
    """

    def normal(shape: tuple[int, ...]) -> th.Tensor:
        return th.randn((n_instances, *shape), generator=generator)

    observations = map_leaves(normal, preprocessed_shape(info.observation_space))
    width = n_outputs(info.action_space)
    labels, log_stds = normal((width,)), None
    if isinstance(info.action_space, spaces.Box):
        labels *= INITIAL_MEANS
        log_stds = th.full((width,), float(log_std))
    return SyntheticDataset(observations, labels, inner_loop, info, log_std=log_stds)


@th.no_grad()
def shrink_initial_rates(
    dataset: SyntheticDataset,
    learners: Learners,
    visited: Sequence[RawObservations] | None = None,
    normalize_images: bool = True,
) -> None:
    """
    Shrink the initial rates of gradient steps where taught learners answer observations with outputs far larger than the
    labels. Untrained networks that see images do so, and then exploration would be over before it began.

    :param dataset: is changed in place
    :param learners: some initial learners
    :param visited: observations of the environments, one by one; ``None`` for random observations of the space
    :param normalize_images: whether the policy scales images to [0, 1]
    """
    rates = dataset.learned.get("log_inner_learning_rates")
    if rates is None or not learners.groups:
        return
    n_seen = 8 * learners.n_learners
    if visited is None:
        space = copy.deepcopy(dataset.info.observation_space)
        space.seed(0)
        seen: list[RawObservations] = [space.sample() for _ in range(n_seen)]
    else:
        seen = [visited[int(i)] for i in np.linspace(0, len(visited) - 1, n_seen)]
    outputs, _ = dataset.teach(learners).outputs(_inputs(seen, dataset, normalize_images))
    bound = LARGEST_START * dataset.labels.square().mean().clamp(max=1.0)
    rates += 0.5 * (bound / outputs.square().mean()).clamp(max=1.0).log()


@th.no_grad()
def initialise_from_observations(
    dataset: SyntheticDataset, visited: Sequence[RawObservations], generator: th.Generator, normalize_images: bool = True
) -> None:
    """
    Replace the synthetic observations by visited ones, each taken at most once.

    :param dataset: is changed in place
    :param visited: observations of the environments, one by one; at least ``k``
    :param generator: source of randomness (CPU)
    :param normalize_images: whether the policy scales images to [0, 1]
    """
    chosen = th.randperm(len(visited), generator=generator)[: dataset.n_instances].tolist()
    for key, value in named_leaves(_inputs([visited[i] for i in chosen], dataset, normalize_images)):
        target = dataset.observations if key is None else dataset.observations[key]  # type: ignore[index]
        target.copy_(value)  # type: ignore[operator]


def _inputs(observations: Sequence[RawObservations], dataset: SyntheticDataset, normalize_images: bool) -> Observations:
    """Single observations as a batch that the networks take."""
    tensors = obs_as_tensor(stack(observations), dataset.labels.device)
    return preprocess_obs(tensors, dataset.info.observation_space, normalize_images)
