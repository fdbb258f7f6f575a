"""What regularises a run: sizes of the regularisers, and the little that they remember."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

import torch as th

from sb3_distill.errors import ArgumentError
from sb3_distill.inner_loop.gradient_steps import GradientSteps
from sb3_distill.inner_loop.loop import InnerLoop
from sb3_distill.learners.dropout import Narrower, drop_units, narrower
from sb3_distill.learners.factory import NetworkFactory
from sb3_distill.learners.population import Group, Learners
from sb3_distill.learners.sampler import LearnerSampler
from sb3_distill.networks.stacked import StackedNetwork
from sb3_distill.outer_loop import regularizers as maths
from sb3_distill.spaces.values import plain
from sb3_distill.typing import Params

RegularizersLike: TypeAlias = Mapping[str, float]
"""Sizes of regularisers by name, see ``Regularizers``."""


@dataclass(frozen=True)
class Regularizers:
    """
    Sizes of all regularisers; the defaults do nothing.

    :param cvar: share of the learners of a draw, the worst ones, that the outer loss is about, in (0, 1]
    :param group_dro: step size of the weights of a mixture's components in the outer loss
    :param dropout: share of the hidden units that each learner goes without, in [0, 1)
    :param init_noise: noise on initial parameters, in units of each tensor's root mean square
    :param inner_noise: standard deviation of the logarithm of factors of rates, ``lambda`` and strength of the inner loop
    :param step_noise: standard deviation of the logarithm of a factor of the number of gradient steps
    :param agreement: coefficient of the disagreement of learners in the loss
    """

    cvar: float = 1.0
    group_dro: float = 0.0
    dropout: float = 0.0
    init_noise: float = 0.0
    inner_noise: float = 0.0
    step_noise: float = 0.0
    agreement: float = 0.0

    @classmethod
    def parse(cls, value: RegularizersLike | None) -> "Regularizers":
        """
        :param value: sizes by name; ``None`` for none
        :return: all sizes
        :raises ValueError: for an unknown name, a size that is no number or out of range, or two ways to weigh learners
        """
        names = [field.name for field in fields(cls)]
        if value is not None and not isinstance(value, Mapping):
            raise ArgumentError(f"`regularizers` must be a dict of sizes by name ({', '.join(names)}), got {value!r}")
        sizes = {name: plain(size) for name, size in (value or {}).items()}
        if unknown := [name for name in sizes if name not in names]:
            raise ArgumentError(f"unknown {unknown[0]!r} in `regularizers`; known are {', '.join(names)}")
        for name, size in sizes.items():
            if isinstance(size, bool) or not isinstance(size, (int, float)) or not math.isfinite(size):
                hint = "; YAML takes 1e-3 for text, and 1.0e-3 for a number" if isinstance(size, str) else ""
                raise ArgumentError(f"`{name}` in `regularizers` must be a finite number, got {size!r}{hint}")
            if name == "cvar" and not 0 < size <= 1:
                raise ArgumentError(f"`cvar` in `regularizers` is the share of the worst learners, in (0, 1], got {size}")
            if size < 0 or (name == "dropout" and size >= 1):
                end = "at least 0 and below 1" if name == "dropout" else "at least 0"
                raise ArgumentError(f"`{name}` in `regularizers` must be {end}, got {size}")
        result = cls(**{name: float(size) for name, size in sizes.items()})  # type: ignore[arg-type]
        if result.cvar < 1 and result.group_dro:
            raise ArgumentError("`cvar` and `group_dro` in `regularizers` both weigh the learners: give one of them")
        return result


class Variation(NamedTuple):
    """
    Another inner loop for the learners of one draw.

    :param loop: the inner loop
    :param shifts: numbers to add to the learned ones, by name
    :param steps: for each gradient step, the step of the dataset's loop whose rates it takes; ``None`` for the same steps
    """

    loop: InnerLoop
    shifts: Params
    steps: list[int] | None

    def learned(self, learned: Mapping[str, th.Tensor], bounds: Mapping[str, tuple[float, float]]) -> Params:
        """
        :param learned: learned numbers of the dataset by name
        :param bounds: their bounds
        :return: the numbers that ``loop`` takes instead, within the bounds
        """
        varied = {
            name: (value + self.shifts[name]).clamp(*bounds[name]) if name in self.shifts else value
            for name, value in learned.items()
        }
        return varied if self.steps is None else {name: value[self.steps] for name, value in varied.items()}


class Regularization:
    """
    The regularisers of one run.

    :param sizes: their sizes
    :param n_components: parts of the mixture of learners
    :ivar log_weights: logarithms of the factors by which group DRO weighs components ``(C,)``; saved with a model
    """

    def __init__(self, sizes: Regularizers, n_components: int = 1) -> None:
        self.sizes = sizes
        self.log_weights = th.zeros(n_components)
        self._n_components = n_components
        self._figures: dict[str, float] = {}
        self._narrower: WeakKeyDictionary[StackedNetwork, Narrower] = WeakKeyDictionary()
        self._variations: WeakKeyDictionary[Learners, Variation] = WeakKeyDictionary()

    def check(self, inner_loop: InnerLoop, sampler: LearnerSampler[NetworkFactory], has_gsde: bool) -> None:
        """
        :param inner_loop: inner loop of the run
        :param sampler: source of the learners
        :param has_gsde: whether exploration depends on the inputs of the last layers
        :raises ValueError: if a regulariser does not fit them
        :raises TypeError: if there are no units that ``dropout`` could leave out
        """
        sizes = self.sizes
        if sizes != Regularizers() and not sampler.is_taught:
            raise ArgumentError("`regularizers` need learners that are taught: the encoder holds all of their layers")
        if sizes.group_dro and len(sampler.components) == 1:
            raise ArgumentError(
                "`group_dro` in `regularizers` weighs the components of a mixture, and `learner_distribution` has one: give "
                "several, or use `cvar`, which weighs learners"
            )
        if sizes.step_noise and not isinstance(inner_loop, GradientSteps):
            raise ArgumentError(f"`step_noise` in `regularizers` is for inner_loop='sgd', this one is {inner_loop.name!r}")
        for name in ("dropout", "agreement"):
            if has_gsde and getattr(sizes, name):
                raise ArgumentError(f"`{name}` in `regularizers` does not go with gSDE: leave out `use_sde`")
        for network in sampler.fixed_networks if sizes.dropout else []:
            narrower(network, sizes.dropout)

    def vary(self, learners: Learners, inner_loop: InnerLoop, learned: Params, generator: th.Generator) -> Learners:
        """
        :param learners: initial learners, as they were drawn
        :param inner_loop: inner loop of the dataset
        :param learned: its learned numbers
        :param generator: source of randomness (CPU)
        :return: the learners that are taught instead, and whose ``variation`` is drawn
        """
        sizes = self.sizes
        if sizes.init_noise or sizes.dropout:
            groups = [self._changed(group, generator) for group in learners.groups]
            learners = Learners(
                groups, learners.encode, learners.n_learners, learners.encoder_layers, components=learners.components
            )
        if sizes.inner_noise or sizes.step_noise:
            shifts = maths.draw_shifts(learned, sizes.inner_noise, generator) if sizes.inner_noise else {}
            steps: list[int] | None = None
            if sizes.step_noise and isinstance(inner_loop, GradientSteps):
                steps = maths.draw_steps(inner_loop.n_steps, sizes.step_noise, generator)
                inner_loop = GradientSteps(len(steps), 1.0, inner_loop.per_role, inner_loop.relative)
                self._figures["drawn_inner_steps"] = len(steps)
            self._variations[learners] = Variation(inner_loop, shifts, steps)
        return learners

    def variation(self, learners: Learners) -> Variation | None:
        """
        :param learners: what ``vary`` returned
        :return: how they are taught; ``None`` for the inner loop of the dataset
        """
        return self._variations.get(learners)

    def weigh(self, learners: Learners, scores: th.Tensor) -> th.Tensor | None:
        """
        :param learners: the initial learners of a draw
        :param scores: how well each does, higher is better ``(M,)``
        :return: weights of the learners in the outer loss ``(M,)``, whose mean is 1; ``None`` where all weigh the same
        """
        if self.sizes.cvar < 1:
            weights = maths.cvar_weights(scores, self.sizes.cvar)
            self._figures["cvar_score"] = float((weights * scores).mean())
            return weights
        if not self.sizes.group_dro:
            return None
        if len(self.log_weights) != self._n_components:  # a model was loaded with another distribution
            self.log_weights = th.zeros(self._n_components)
        scores, log_weights = scores.detach().cpu(), self.log_weights.cpu()
        self.log_weights = maths.group_dro_step(log_weights, scores, learners.components, self.sizes.group_dro)
        return maths.group_weights(self.log_weights, learners.components)

    def figures(self) -> dict[str, float]:
        """Figures for the log: weights of components, the score of the worst learners, the number of steps drawn last."""
        weights = self.log_weights.exp().tolist() if self.sizes.group_dro else []
        return {**self._figures, **{f"component_{i}_weight": weight for i, weight in enumerate(weights)}}

    def _changed(self, group: Group, generator: th.Generator) -> Group:
        if self.sizes.init_noise:
            group = Group(group.network, maths.add_noise(group.params, self.sizes.init_noise, generator))
        if not self.sizes.dropout:
            return group
        if group.network not in self._narrower:
            self._narrower[group.network] = narrower(group.network, self.sizes.dropout)
        return drop_units(group, self._narrower[group.network], generator)
