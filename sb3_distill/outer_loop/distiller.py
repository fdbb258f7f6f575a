"""The core: a synthetic dataset follows the gradient of an outer loss through inner learning."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch as th

from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.learners.factory import NetworkFactory
from sb3_distill.learners.population import Learners
from sb3_distill.learners.sampler import LearnerSampler
from sb3_distill.outer_loop.regularization import Regularization, Regularizers

MAX_COUNTS = 100_000
"""How many counts of discarded gradients wait for ``take_discarded_count``, so that loops that never ask stay small."""


class Companion(NamedTuple):
    """
    Parameters outside the dataset that the same loss trains, such as those of a critic.

    :param parameters: all parameters that ``optimizer`` steps
    :param optimizer: their optimizer
    """

    parameters: Sequence[th.Tensor]
    optimizer: th.optim.Optimizer


class Distiller:
    """
    Draws learners, teaches them, and steps the dataset down an outer loss (Algorithm 1 of Wilhelm & Ventura 2025 without the
    reinforcement learning). A task is a short loop on these three methods::

        learners = distiller.teach(distiller.draw())
        distiller.step(loss_of(learners))

    The loss may come from an environment, an agent or a labelled data set; nothing here knows of any of them.

    :param dataset: the dataset that is learned
    :param sampler: source of initial learners
    :param n_learners: M, the learners of one draw
    :param generator: source of all randomness (CPU)
    :param sizes: step sizes by group of parameters, see ``outer_loop.rates.step_sizes``
    :param weight_decay: decoupled weight decay of the synthetic observations
    :param companions: what else the loss trains
    :param regularization: what keeps the dataset from suiting its learners too well; ``None`` for nothing
    """

    def __init__(
        self,
        dataset: SyntheticDataset,
        sampler: LearnerSampler[NetworkFactory],
        n_learners: int,
        generator: th.Generator,
        sizes: Mapping[str, float],
        weight_decay: float = 0.0,
        companions: Sequence[Companion] = (),
        regularization: Regularization | None = None,
    ) -> None:
        self.dataset, self.sampler, self.n_learners, self.generator = dataset, sampler, n_learners, generator
        self.companions = list(companions)
        self.regularization = Regularization(Regularizers()) if regularization is None else regularization
        self._discarded: deque[th.Tensor] = deque(maxlen=MAX_COUNTS)
        self._skipped: deque[th.Tensor] = deque(maxlen=MAX_COUNTS)
        self._groups = _parameter_groups(dataset)
        # A gradient is clipped apart from the others where its size says nothing about theirs.
        self._clipped_apart: list[Sequence[th.Tensor]] = [
            [parameter for name, group in self._groups.items() if name != "encoder" for parameter in group],
            self._groups["encoder"],
            *(companion.parameters for companion in self.companions),
        ]
        self.optimizer = th.optim.AdamW(
            [
                {"params": group, "lr": sizes[name], "name": name, "weight_decay": _decay(name, weight_decay)}
                for name, group in self._groups.items()
                if group
            ],
            eps=1e-5,
            fused=True,
        )

    def draw(self) -> Learners:
        """M initial learners (line 2 of Algorithm 1), as the regularisers change them."""
        learners = self.sampler.sample(self.n_learners, self.generator)
        return self.regularization.vary(learners, self.dataset.inner_loop, self.dataset.learned, self.generator)

    def teach(self, learners: Learners) -> Learners:
        """
        :param learners: initial learners; they are not changed
        :return: what the dataset makes of them (lines 3 and 12), differentiable with respect to the dataset unless gradients
            are switched off
        """
        varied = self.regularization.variation(learners)
        if varied is None:
            taught = self.dataset.teach(learners)
        else:
            learned = varied.learned(self.dataset.learned, self.dataset.inner_loop.bounds())
            taught = self.dataset.teach(learners, loop=varied.loop, learned=learned)
        if th.is_grad_enabled():
            self._discarded.extend(taught.discarded)
        return taught

    def step(self, loss: th.Tensor, max_grad_norm: float = 0.5) -> th.Tensor:
        """
        One step of the dataset and its companions (lines 9 to 11). A step whose gradient is not finite is left out.

        :param loss: the outer loss, a scalar
        :param max_grad_norm: bound of the gradient norm of the dataset, the encoder and each companion apart
        :return: the norm of the dataset's gradient
        """
        optimizers = [self.optimizer, *(companion.optimizer for companion in self.companions)]
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        grad_norm, encoder_norm, *companion_norms = [
            th.nn.utils.clip_grad_norm_(parameters, max_grad_norm) for parameters in self._clipped_apart
        ]
        if grad_norm.isfinite() and encoder_norm.isfinite():
            self.optimizer.step()
            self.dataset.clamp_()
        for companion, norm in zip(self.companions, companion_norms, strict=True):
            if norm.isfinite():
                companion.optimizer.step()
        if companion_norms:
            self._skipped.append((~th.stack(companion_norms).isfinite()).sum())
        return grad_norm

    def take_discarded_count(self) -> int:
        """
        How many gradients of single learners were left out because they were not finite, for the learners taught since the
        last call.
        """
        return _take(self._discarded)

    def take_skipped_count(self) -> int:
        """How many steps of companions were left out since the last call, because their gradients were not finite."""
        return _take(self._skipped)

    def set_step_sizes(self, sizes: Mapping[str, float], weight_decay: float) -> None:
        """
        :param sizes: step sizes by group of parameters, see ``outer_loop.rates.step_sizes``
        :param weight_decay: decoupled weight decay of the synthetic observations
        """
        for group in self.optimizer.param_groups:
            group["lr"] = sizes[group["name"]]
            group["weight_decay"] = _decay(group["name"], weight_decay)


def _take(counts: deque[th.Tensor]) -> int:
    """The sum of counts, which start anew."""
    total = int(th.stack(list(counts)).sum()) if counts else 0
    counts.clear()
    return total


def _decay(group: str, weight_decay: float) -> float:
    return weight_decay if group == "learning" else 0.0


def _parameter_groups(dataset: SyntheticDataset) -> dict[str, list[th.Tensor]]:
    """All parameters of a dataset, by the name of their step size."""
    return {
        "learning": [*dataset.observation_parameters()],
        "labels": [dataset.labels],
        "rates": list(dataset.learned.values()),
        "log_std": [] if dataset.log_std is None else [dataset.log_std],
        "input_scale": [] if dataset.log_input_scale is None else [dataset.log_input_scale],
        "encoder": [] if dataset.encoder is None else list(dataset.encoder.parameters()),
    }
