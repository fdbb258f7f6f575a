"""How a synthetic dataset starts."""

import copy
from typing import Any

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

DATASET_INITS = ("normal", "observations")
INITIAL_MEANS = 0.1
"""Standard deviation of the first labels of continuous actions: larger means cost control and hold actions at their bounds."""
LARGEST_START = 2.0
"""The mean square of the first outputs is at most so many times that of the labels, or of labels that were just drawn."""


def draw_dataset(
    n_instances: int, inner_loop: InnerLoop, info: DatasetInfo, generator: th.Generator, log_std: float = 0.0
) -> SyntheticDataset:
    """
    A dataset of standard normal observations and labels, as in the paper (labels of continuous actions are smaller).

    :param n_instances: ``k``
    :param inner_loop: how learners will be trained on it
    :param info: names the spaces
    :param generator: source of randomness (CPU)
    :param log_std: initial log-std of continuous actions
    """

    def normal(*size: int) -> th.Tensor:
        return th.randn(size, generator=generator)

    shape, width = preprocessed_shape(info.observation_space), n_outputs(info.action_space)
    observations: Any = (
        {key: normal(n_instances, *sub) for key, sub in shape.items()}
        if isinstance(shape, dict)
        else normal(n_instances, *shape)
    )
    labels, log_stds = normal(n_instances, width), None
    if isinstance(info.action_space, spaces.Box):
        labels *= INITIAL_MEANS
        log_stds = th.full((width,), float(log_std))
    return SyntheticDataset(observations, labels, inner_loop, info, log_std=log_stds)


@th.no_grad()
def temper(
    dataset: SyntheticDataset, learners: Learners, visited: list[Any] | None = None, normalize_images: bool = True
) -> None:
    """
    Let gradient steps start smaller where taught learners would answer observations with outputs far larger than the labels,
    as untrained networks do that see images: exploration would be over before it began.

    :param dataset: changed in place
    :param learners: some initial ones
    :param visited: see ``random_rollout``; ``None``: any observations of the space
    :param normalize_images: as the policy preprocesses images
    """
    rates = dataset.learned.get("log_inner_learning_rates")
    if rates is None or not learners.groups:
        return
    n_seen = 8 * learners.n_learners
    if visited is None:
        space = copy.deepcopy(dataset.info.observation_space)
        space.seed(0)
        seen: list[Any] = [space.sample() for _ in range(n_seen)]
    else:
        seen = [visited[int(i)] for i in np.linspace(0, len(visited) - 1, n_seen)]
    outputs, _ = dataset.teach(learners).outputs(_inputs(seen, dataset, normalize_images))
    bound = LARGEST_START * dataset.labels.square().mean().clamp(max=1.0)
    rates += 0.5 * (bound / outputs.square().mean()).clamp(max=1.0).log()


@th.no_grad()
def start_from(dataset: SyntheticDataset, visited: list[Any], generator: th.Generator, normalize_images: bool = True) -> None:
    """
    Replace the synthetic observations by some that were visited, each at most once.

    :param dataset: changed in place
    :param visited: see ``random_rollout``; at least ``k``
    :param generator: source of randomness (CPU)
    :param normalize_images: as the policy preprocesses images
    """
    chosen = th.randperm(len(visited), generator=generator)[: dataset.n_instances].tolist()
    inputs = _inputs([visited[i] for i in chosen], dataset, normalize_images)
    if isinstance(inputs, dict):
        for key, value in inputs.items():
            dataset.observations[key].copy_(value)
    else:
        dataset.observations.copy_(inputs)


def _inputs(observations: list[Any], dataset: SyntheticDataset, normalize_images: bool) -> Any:
    """Single observations, arrays or dicts of arrays, as a batch that the networks take."""
    if isinstance(observations[0], dict):
        batch: Any = {key: np.stack([observation[key] for observation in observations]) for key in observations[0]}
    else:
        batch = np.stack(observations)
    tensors = obs_as_tensor(batch, dataset.labels.device)
    return preprocess_obs(tensors, dataset.info.observation_space, normalize_images)
