"""How a synthetic dataset of labelled examples starts."""

import copy

import torch as th

from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.start import draw_dataset
from sb3_distill.dataset.synthetic_dataset import DatasetLike, SyntheticDataset
from sb3_distill.errors import ArgumentError
from sb3_distill.inner_loop.loop import InnerLoop
from sb3_distill.supervised.examples import Examples, as_seen

KEPT = ("updates", "target_mean", "target_std")
"""What a dataset that goes on brings along."""
DATA_INITS = ("normal", "data")


def start_from_data(
    examples: Examples,
    info: DatasetInfo,
    loop: InnerLoop,
    n_instances: int,
    init: str,
    initial: DatasetLike | None,
    generator: th.Generator,
) -> SyntheticDataset:
    """
    :param examples: real examples
    :param info: description of the dataset in this run
    :param loop: how learners are taught
    :param n_instances: ``k``
    :param init: one of ``DATA_INITS``
    :param initial: a dataset to go on from
    :param generator: source of randomness (CPU)
    :return: the dataset that the run learns
    :raises ValueError: for another ``init``, or a dataset of another kind of data
    """
    if init not in DATA_INITS:
        raise ArgumentError(f"`dataset_init` must be one of {', '.join(DATA_INITS)}, got {init!r}")
    if initial is not None:
        dataset = copy.deepcopy(SyntheticDataset.of(initial))
        examples.check_like(dataset.info.observation_space, dataset.info.action_space)
        info.inner_loop, info.normalization = dataset.info.inner_loop, dataset.info.normalization
        ours = {name: value for name, value in info.data.items() if name not in KEPT}
        info.data = {**ours, "updates": 0, **{name: dataset.info.data[name] for name in KEPT if name in dataset.info.data}}
        info.observation_space, info.action_space = dataset.info.observation_space, dataset.info.action_space
        info.encoder_layers = dataset.encoder_layers
        dataset.info = info
        dataset.set_normalization(info.normalization)
        return dataset
    dataset = draw_dataset(n_instances, loop, info, generator)
    chosen = _chosen(examples, n_instances, generator)
    with th.no_grad():
        if init == "data":
            dataset.observation_parameters()[0].copy_(as_seen(info, examples.inputs[chosen]))
        if examples.n_classes is not None and n_instances < examples.n_classes:
            pass  # labels must say more than one class each
        elif examples.n_classes is not None:
            dataset.labels.copy_(th.nn.functional.one_hot(examples.targets[chosen], examples.n_classes))
        else:
            dataset.labels.copy_(examples.targets[chosen])
            assert dataset.log_std is not None
            dataset.log_std.copy_(examples.targets.std(dim=0).clamp(1e-3).log())
    return dataset


def _chosen(examples: Examples, k: int, generator: th.Generator) -> th.Tensor:
    """Numbers of k examples: of the classes in turn, or any."""
    order = th.randperm(len(examples), generator=generator)
    if examples.n_classes is None:
        return order.repeat(-(-k // len(order)))[:k]
    by_class = [order[examples.targets[order] == c] for c in range(examples.n_classes)]
    present = [rows for rows in by_class if len(rows)]
    return th.stack([present[i % len(present)][i // len(present) % len(present[i % len(present)])] for i in range(k)])
