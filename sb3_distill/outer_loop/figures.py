"""Figures of an iteration of the outer loop, for the log."""

from collections.abc import Mapping, Sequence

import torch as th

from sb3_distill.outer_loop.distiller import Distiller


def figures(distiller: Distiller, log: Mapping[str, Sequence[th.Tensor]]) -> dict[str, float]:
    """
    :param distiller: has made the updates
    :param log: scalars of each update, by name; ``dataset_grad_norm`` among them
    :return: their means, and what is to be known of the dataset, by name
    """
    dataset = distiller.dataset
    result = {name: th.stack(list(values)).nanmean().item() for name, values in log.items()}
    norms = log.get("dataset_grad_norm", [])
    result["skipped_steps"] = sum(not bool(norm.isfinite()) for norm in norms)
    if distiller.companions:
        result["skipped_critic_steps"] = distiller.take_skipped_count()
    result["caught_learners"] = distiller.take_discarded_count()
    result |= dataset.inner_loop.rates(dataset.learned)
    if dataset.log_std is not None:
        result["std"] = dataset.log_std.exp().mean().item()
    return result
