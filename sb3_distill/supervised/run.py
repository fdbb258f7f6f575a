"""The outer loop of tasks on data: updates, step sizes, log, checkpoints."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch as th
from stable_baselines3.common.utils import configure_logger
from tqdm.auto import tqdm

from sb3_distill.arguments import drawn_seed, not_negative, whole
from sb3_distill.dataset.facts import HasFacts, facts_of
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import ArgumentError, DatasetError, NotFiniteError
from sb3_distill.learners.population import Learners
from sb3_distill.learners.sampler import LearnerSampler
from sb3_distill.networks.encoder import Encoder, split
from sb3_distill.outer_loop.distiller import Distiller
from sb3_distill.outer_loop.rates import FOLLOWING_RATES, schedule, step_sizes
from sb3_distill.outer_loop.regularization import Regularization, Regularizers, RegularizersLike
from sb3_distill.outer_loop.start import record_as_drawn
from sb3_distill.supervised import saving
from sb3_distill.typing import Json, Rate
from sb3_distill.whole_files import check_writable

NOT_SAVED = ("self", "__class__", "data", "module", "initial_dataset")
"""Arguments that a checkpoint has in another form, or not at all."""


class RunOnData(HasFacts):
    """
    Learns a synthetic dataset from data, without an environment. A subclass makes the ``distiller``, and says by
    ``loss_of`` what taught learners do wrong.

    :ivar data_size: number of real examples, which a checkpoint is compared with
    """

    name: ClassVar[str]
    """Name of the run's folder of logs."""
    distiller: Distiller
    data_size: int
    arguments: Mapping[str, object]

    def __init__(
        self,
        learning_rate: Rate,
        rates: Mapping[str, Rate | None],
        weight_decay: float,
        max_grad_norm: float,
        seed: int | None,
        tensorboard_log: str | None,
        verbose: int,
    ) -> None:
        """
        :param learning_rate: step size of the synthetic inputs
        :param rates: step sizes of other groups of parameters, by name; ``None`` to follow ``learning_rate``
        :param weight_decay: decoupled weight decay of the synthetic inputs
        :param max_grad_norm: bound of the gradient norm
        :param seed: seed of the generator; ``None`` draws one from torch's global generator
        :param tensorboard_log: folder of logs for TensorBoard
        :param verbose: 1 prints a table now and then
        :raises ValueError: for what is no rate, a number below 0, or a seed that is no whole number
        """
        self.learning_rate, self._rates = learning_rate, {**dict.fromkeys(FOLLOWING_RATES), **rates}
        self.weight_decay = not_negative("weight_decay", weight_decay)
        self.max_grad_norm = not_negative("max_grad_norm", max_grad_norm)
        self.sizes(1.0)  # refuses what is no rate
        self.seed, self.n_updates = None if seed is None else drawn_seed(seed), 0
        self.generator = th.Generator().manual_seed(drawn_seed(seed))
        self.logger = configure_logger(verbose, tensorboard_log, self.name)

    def facts(self) -> dict[str, object]:
        """What is to be known of the run, by name."""
        return {**facts_of(self.dataset.info, self.dataset.n_instances), "updates": self.n_updates}

    def sampler_with_encoder(
        self,
        dataset: SyntheticDataset,
        make_sampler: Callable[[], LearnerSampler[Any]],
        encoder_layers: int,
        is_new: bool,
    ) -> LearnerSampler[Any]:
        """
        Give a new dataset its encoder.

        :param dataset: the dataset that is learned, on its device
        :param make_sampler: makes the sampler of learners for the dataset as it is
        :param encoder_layers: number of layers of the encoder
        :param is_new: whether the dataset is none that goes on, which brings its own encoder
        :return: the sampler of learners, whose first layers are the encoder's
        :raises ValueError: if the learners have no such layers, nothing would be left to teach, or a dataset that goes on has
            another number of them
        """
        sampler = make_sampler()
        level = dataset.encoder_layers
        if is_new and encoder_layers == 0:
            return sampler
        if not is_new and encoder_layers not in (0, level):
            raise ArgumentError(f"`initial_dataset` has {level} layers in its encoder, not encoder_layers={encoder_layers!r}")
        if not is_new and dataset.encoder is None:
            return sampler
        with th.random.fork_rng(devices=[]):
            th.manual_seed(int(th.randint(2**31, (), generator=self.generator)) if is_new else 0)
            network = sampler.factory.build(sampler.components[0], False)
        if dataset.encoder is not None:  # a file has no order of parameters, and the state of an optimiser needs one
            dataset.encoder = dataset.encoder.first(level, network)
        else:
            layers, rest = split(network, encoder_layers)
            if layers is None or rest is None:
                raise ArgumentError(f"encoder_layers={encoder_layers} are all layers of the learners: leave one to be taught")
            dataset.encoder, dataset.info.encoder_layers = Encoder.of(layers, encoder_layers), encoder_layers
        dataset.to(dataset.labels.device)
        return make_sampler()

    def make_distiller(
        self, dataset: SyntheticDataset, sampler: LearnerSampler[Any], n_learners: int, regularizers: RegularizersLike | None,
        is_new: bool,
    ) -> None:  # fmt: skip
        """
        Make the ``distiller``.

        :param dataset: the dataset that is learned
        :param sampler: source of initial learners
        :param n_learners: M
        :param regularizers: sizes of regularisers by name
        :param is_new: whether the dataset is none that goes on
        :raises ValueError: if a regulariser does not fit the learners
        """
        if is_new and sampler.fixed_networks:
            record_as_drawn(dataset, sampler.fixed_networks[0].template)
        regularization = Regularization(Regularizers.parse(regularizers), len(sampler.components))
        regularization.check(dataset.inner_loop, sampler, False)
        self.distiller = Distiller(
            dataset, sampler, n_learners, self.generator, self.sizes(1.0), self.weight_decay, regularization=regularization
        )

    @property
    def dataset(self) -> SyntheticDataset:
        """The synthetic dataset that is learned."""
        return self.distiller.dataset

    def loss_of(self, learners: Learners, drawn: Learners) -> tuple[th.Tensor, th.Tensor]:
        """
        :param learners: M taught learners
        :param drawn: the same before they were taught, for weights of the regularisers
        :return: the outer loss, whose gradient the dataset follows, and what the log shows of it, both scalars
        """
        raise NotImplementedError

    def learn(
        self,
        n_updates: int,
        callback: Callable[[Self], bool | None] | None = None,
        log_interval: int = 100,
        reset_num_updates: bool = True,
        progress_bar: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        minutes: float = 3.0,
    ) -> Self:
        """
        :param n_updates: updates of the dataset; step sizes fall over them
        :param callback: is called after each update with this object; ``False`` ends learning
        :param log_interval: updates between two lines of the log
        :param reset_num_updates: ``False``: earlier updates count, so that a loaded run goes on to ``n_updates`` in all
        :param progress_bar: whether a bar is shown
        :param checkpoint: zip that is written every few minutes, at the end and after Ctrl-C; ``load`` goes on from it
        :param minutes: time between two of them
        :raises ValueError: for a number below 1, or a callback that is no function
        :raises FloatingPointError: if the dataset becomes NaN or infinite
        :raises OSError: if the checkpoint cannot be written, before learning
        """
        total, log_interval = whole("n_updates", n_updates), whole("log_interval", log_interval)
        minutes = not_negative("minutes", minutes)
        if callback is not None and not callable(callback):
            raise ArgumentError(f"`callback` must be a function of the run, got {callback!r}")
        if reset_num_updates:
            self.n_updates = 0
        if checkpoint is not None:
            check_writable(Path(checkpoint))
        first, began = self.n_updates, time.monotonic()
        saved, window = began, list[float]()
        try:
            with tqdm(total=total, initial=first, unit="update", disable=not progress_bar) as bar:
                while self.n_updates < total:
                    window.append(self.update(1 - self.n_updates / total))
                    bar.update()
                    if self.n_updates % log_interval == 0 or self.n_updates == total:
                        self._log(window, (self.n_updates - first) / (time.monotonic() - began))
                        bar.set_postfix(loss=f"{np.mean(window):.3f}")
                        window.clear()
                    if callback is not None and callback(self) is False:
                        break
                    if checkpoint is not None and time.monotonic() - saved >= 60 * minutes:
                        self.save(checkpoint)
                        saved = time.monotonic()
        finally:
            if checkpoint is not None and self.n_updates > first:
                self.save(checkpoint)
        return self

    def update(self, progress_remaining: float) -> float:
        """
        One update of the dataset.

        :param progress_remaining: from 1 to 0, for schedules
        :return: the loss
        """
        self.distiller.set_step_sizes(self.sizes(progress_remaining), self.weight_decay)
        drawn = self.distiller.draw()
        loss, shown = self.loss_of(self.distiller.teach(drawn), drawn)
        self.distiller.step(loss, self.max_grad_norm)
        self.n_updates += 1
        if not self.dataset.is_finite():
            raise NotFiniteError(f"the dataset became NaN or infinite in update {self.n_updates}: use a smaller learning_rate")
        self.dataset.info.data["updates"] += 1
        return float(shown.detach())

    def sizes(self, progress: float) -> dict[str, float]:
        """
        :param progress: remaining progress, from 1 to 0
        :return: the step size of each group of parameters
        """
        return step_sizes(float(schedule(self.learning_rate)(progress)), self._rates, progress)

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        :param path: zip with the dataset, the optimiser and the generator, from which ``load`` goes on
        :raises OSError: if it cannot be written; a file that was there stays what it was
        """
        state = {
            "optimizer": self.distiller.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "log_weights": self.distiller.regularization.log_weights,
            "n_updates": self.n_updates,
            "data_size": self.data_size,
        }
        saving.write(Path(path), self.name, self.dataset, self.arguments, state)

    def restore(self, state: Json, path: str | os.PathLike[str]) -> Self:
        """
        :param state: what ``save`` wrote beside dataset and arguments
        :param path: where, for the message
        :return: this run, which goes on with ``learn(n_updates, reset_num_updates=False)``
        :raises ValueError: if it was a run on another number of examples
        :raises DatasetError: if the state is not that of the dataset
        """
        if self.data_size != state["data_size"]:
            raise ArgumentError(f"{path} is a run on {state['data_size']:,} examples, the data have {self.data_size:,}")
        optimizer = self.distiller.optimizer
        optimizer.load_state_dict(state["optimizer"])
        for parameter, values in optimizer.state.items():  # fused steps do not look at shapes, and write where they may not
            if any(values[name].shape != parameter.shape for name in ("exp_avg", "exp_avg_sq")):
                raise DatasetError(f"{path} is damaged: the state of its optimiser is not that of its dataset")
        self.generator.set_state(state["generator"])
        self.distiller.regularization.log_weights = state["log_weights"]
        self.n_updates = state["n_updates"]
        return self

    def _log(self, window: list[float], speed: float) -> None:
        figures = {
            "loss": float(np.mean(window)),
            **self.dataset.inner_loop.rates(self.dataset.learned),
            **self.distiller.regularization.figures(),
            "discarded_gradients": self.distiller.take_discarded_count(),
        }
        for name, value in figures.items():
            self.logger.record(f"train/{name}", value)
        self.logger.record("time/updates_per_second", speed)
        self.logger.record("time/updates", self.n_updates)
        self.logger.dump(self.n_updates)
