"""How a synthetic dataset starts."""

from typing import Any

import torch as th
from gymnasium import spaces

from sb3_distill.dataset import SyntheticDataset
from sb3_distill.dataset_info import DatasetInfo
from sb3_distill.inner_loop import InnerLoop
from sb3_distill.spaces import n_outputs, preprocessed_shape


def draw_dataset(
    n_instances: int, inner_loop: InnerLoop, info: DatasetInfo, generator: th.Generator, log_std: float = 0.0
) -> SyntheticDataset:
    """
    A dataset of standard normal observations and labels, as in the paper (smaller labels where means are fitted at once).

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
        labels *= inner_loop.initial_mean_scale
        log_stds = th.full((width,), float(log_std))
    return SyntheticDataset(observations, labels, inner_loop, info, log_std=log_stds)
