"""Where a run starts: from nothing, from a dataset that goes on, or from one that gives its encoder alone."""

import copy
from typing import NamedTuple

import torch as th

from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.start import draw_dataset
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError, warn
from sb3_distill.inner_loop.carry import Carry, layers_as_drawn
from sb3_distill.inner_loop.loop import InnerLoop
from sb3_distill.networks.anatomy import Network
from sb3_distill.networks.encoder import Encoder, encoder_levels
from sb3_distill.outer_loop.settings import Settings


class Start(NamedTuple):
    """
    :param continued: a copy of the dataset that goes on
    :param encoder_source: a copy of the dataset whose encoder alone is taken over
    """

    continued: SyntheticDataset | None = None
    encoder_source: SyntheticDataset | None = None

    @property
    def source(self) -> SyntheticDataset | None:
        """The dataset that something is taken over from."""
        return self.encoder_source if self.continued is None else self.continued

    @property
    def encoder(self) -> Encoder | None:
        """The encoder to start from."""
        return None if self.source is None else self.source.encoder


def find_start(arguments: Settings, actor: Network) -> Start:
    """
    :param arguments: the arguments as the user gave them
    :param actor: the actor of a learner, which ``encoder_from`` gives its last encoder layers back to
    :raises FileNotFoundError, DatasetError: if the dataset cannot be loaded
    :raises ValueError: if both arguments are there, or the layers of the encoder do not fit them
    """
    if arguments.initial_dataset is not None and arguments.encoder_from is not None:
        raise ArgumentError("`initial_dataset` and `encoder_from` exclude each other: both say where to start from")
    if arguments.initial_dataset is not None:
        dataset = copy.deepcopy(SyntheticDataset.of(arguments.initial_dataset))
        level = dataset.encoder_layers
        if arguments.encoder_layers not in (0, level):
            raise ArgumentError(
                f"`initial_dataset` has {level} layers in its encoder, not encoder_layers={arguments.encoder_layers}"
                + (": start from it with `encoder_from`" if level > arguments.encoder_layers else "")
            )
        if dataset.encoder is not None:  # a file has no order of parameters, and the state of an optimiser needs one
            dataset.encoder = dataset.encoder.first(level, actor)
        return Start(continued=dataset)
    if arguments.encoder_from is None:
        return Start()
    dataset = copy.deepcopy(SyntheticDataset.of(arguments.encoder_from))
    level = dataset.encoder_layers
    if dataset.encoder is None or not isinstance(arguments.encoder_layers, int) or level <= arguments.encoder_layers:
        raise ArgumentError(
            f"`encoder_from` must have more layers in its encoder than encoder_layers={arguments.encoder_layers}, it has "
            f"{level}" + ("; go on from it with `initial_dataset`" if level == arguments.encoder_layers else "")
        )
    dataset.encoder = dataset.encoder.first(arguments.encoder_layers, actor)
    # An encoder of all layers leaves nothing to teach: labels and rates of such a dataset are untrained.
    return Start(encoder_source=dataset) if level == encoder_levels(actor) else Start(continued=dataset)


def warn_of_unused(arguments: Settings, continued: SyntheticDataset) -> None:
    """
    :param arguments: the arguments as the user gave them
    :param continued: the dataset that goes on and decides instead of some of them
    """
    loop = continued.info.inner_loop
    argument = "initial_dataset" if arguments.encoder_from is None else "encoder_from"
    if arguments.inner_loop not in ("sgd", loop["name"]) or arguments.n_inner_steps not in (1, loop.get("n_steps")):
        warn(f"`inner_loop` and `n_inner_steps` are not used: `{argument}` brings its own, {loop}")
    if arguments.dataset_init != "normal" and arguments.encoder_from is None:  # else it concerns the first level only
        warn("`dataset_init` is not used: `initial_dataset` brings its observations")
    if arguments.n_instances not in (None, continued.n_instances):
        warn(f"n_instances={arguments.n_instances} is not used: `{argument}` has {continued.n_instances}")


def starting_dataset(
    start: Start, info: DatasetInfo, inner_loop: InnerLoop, n_instances: int, generator: th.Generator, log_std: float = 0.0
) -> SyntheticDataset:
    """
    :param start: what the run goes on from
    :param info: description of the dataset in this run; it inherits the progress of ``start``
    :param inner_loop: how learners are trained
    :param n_instances: ``k`` of a new dataset
    :param generator: source of randomness (CPU)
    :param log_std: initial log-std of continuous actions
    :return: the dataset that the run learns; a new one has no encoder yet
    """
    if start.continued is not None:  # under this run's conditions: its scores are no longer true
        info.inherit_progress(start.continued.info)
        start.continued.info = info
        return start.continued
    dataset = draw_dataset(n_instances, inner_loop, info, generator, log_std)
    if (source := start.encoder_source) is not None:
        info.inherit_progress(source.info)
        if dataset.log_std is not None and source.log_std is not None:
            dataset.log_std.data.copy_(source.log_std)
    return dataset


def record_as_drawn(dataset: SyntheticDataset, network: Network) -> None:
    """
    :param dataset: a new dataset, whose file shall say which layers of its learners carry no labels
    :param network: a learner
    """
    if isinstance(dataset.inner_loop, Carry):
        dataset.inner_loop.as_drawn = layers_as_drawn(network)
        dataset.info.inner_loop = dataset.inner_loop.settings()
