"""Figures of an iteration of the outer loop, for the log."""

from collections.abc import Iterable, Mapping, Sequence

import torch as th

from sb3_distill.outer_loop.distiller import Distiller

LONGEST_NAME = 33
"""Length of a name that SB3's table prints whole: it has 36 characters, three of which indent the name."""


def figures(distiller: Distiller, log: Mapping[str, Sequence[th.Tensor]]) -> dict[str, float]:
    """
    :param distiller: has made the updates
    :param log: scalars of each update, by name; ``dataset_grad_norm`` among them
    :return: their means, and figures of the dataset, by name
    """
    dataset = distiller.dataset
    result = {name: th.stack(list(values)).nanmean().item() for name, values in log.items()}
    norms = log.get("dataset_grad_norm", [])
    result["skipped_steps"] = sum(not bool(norm.isfinite()) for norm in norms)
    if distiller.companions:
        result["skipped_critic_steps"] = distiller.take_skipped_count()
    result["caught_learners"] = distiller.take_discarded_count()
    rates = dataset.inner_loop.rates(dataset.learned)
    result |= dict(zip(short_names(rates), rates.values(), strict=True))
    result |= distiller.regularization.figures()
    if dataset.log_std is not None:
        result["std"] = dataset.log_std.exp().mean().item()
    return result


def short_names(names: Iterable[str]) -> list[str]:
    """
    SB3's table cuts long names at the end, and refuses two that are then the same. An inner loop may name its numbers as it
    likes; those that are too long lose their middle here, since steps and roles stand at the end.

    :param names: distinct names
    :return: distinct names of at most ``LONGEST_NAME`` characters, in the same order; short ones are as they were
    """
    names = list(names)
    taken = {name for name in names if len(name) <= LONGEST_NAME}
    result = []
    for name in names:
        short, number = name, 2
        if len(name) > LONGEST_NAME:
            short = _without_middle(name, "~")
            while short in taken:
                short, number = _without_middle(name, f"~{number}~"), number + 1
            taken.add(short)
        result.append(short)
    return result


def _without_middle(name: str, mark: str) -> str:
    room = LONGEST_NAME - len(mark)
    end = room * 2 // 3
    return f"{name[: room - end]}{mark}{name[-end:]}"
