"""Networks with names, and what is measured at, around and between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch as th
from gymnasium import spaces

from sb3_distill.dataset.facts import HasFacts, inner_loop_in_words
from sb3_distill.errors import ArgumentError, UnsupportedError
from sb3_distill.landscape.curvature import spectrum_at
from sb3_distill.landscape.directions import planes_along
from sb3_distill.landscape.maths.matching import match_units
from sb3_distill.landscape.maths.objectives import Batch
from sb3_distill.landscape.maths.planes import Plane, line, markers_on
from sb3_distill.landscape.names import (
    ALPHAS,
    INITIAL,
    LOSSES,
    ODD,
    RL,
    SMALLEST,
    TAUGHT,
    Directions,
    Objective,
    check_objective,
    check_size,
)
from sb3_distill.landscape.points.play import Arena, Experience
from sb3_distill.landscape.points.shape import POINTS_AT_ONCE, Shape, inputs_of
from sb3_distill.landscape.result import RETURN, Barrier, Ray, Spectrum, Surface
from sb3_distill.typing import Array


@dataclass(frozen=True, repr=False)
class Place(HasFacts):
    """
    The surroundings of one learner; ``Landscape.around`` makes them. Each point is a network; all points of a plane are one
    population: they play at once.

    :param shape: networks of one shape
    :param points: parameters of the networks that have names ``(d,)``
    :param path: parameters along the RL training ``(T, d)``; ``None`` without one
    :param planes: planes that ``surface`` draws
    :param arena: where points play
    :param seed: seed of the learner
    """

    shape: Shape = field(repr=False)
    points: Mapping[str, th.Tensor] = field(repr=False)
    path: th.Tensor | None = field(repr=False)
    planes: Sequence[Plane] = field(repr=False)
    arena: Arena = field(repr=False)
    seed: int = 0

    def planes_along(self, directions: Directions, n_planes: int = 1, at: str | None = None) -> list[Plane]:
        """
        :param directions: see ``around``
        :param n_planes: number of planes
        :param at: name of the network in the centre of random planes; ``None`` for the end of RL, or the taught one without it
        :return: the planes
        :raises ValueError: see ``around``
        """
        return planes_along(
            directions, n_planes, self.points, self.path, self.shape.layout, lambda n: self.spectrum(n).eigenvectors,
            self.seed, at,
        )  # fmt: skip

    @cached_property
    def batch(self) -> Batch:
        """The distilled observations, as the networks see them, and labels."""
        return Batch(inputs_of(self.shape), self.shape.dataset.labels.detach())

    @cached_property
    def floor(self) -> float:
        """The return that counts as nothing, see ``Arena.floor``."""
        return self.arena.floor(self.points[INITIAL])

    @cached_property
    def experience(self) -> Experience:
        """What the untaught network experiences: its gradient is the policy gradient at the start."""
        return self.arena.experience(self.points[INITIAL])

    def surface(
        self,
        objective: Objective = "return",
        plane: int | Plane = 0,
        size: int = 21,
        n_episodes: int = 16,
        deterministic: bool = True,
    ) -> Surface:
        """
        :param objective: ``"return"``; ``"mse"``, the distilled loss; ``"profiled"``, the same without what the scale of
            labels decides (not for ``Box`` actions); ``"surrogate"``, PPO's loss on the experience of the untaught network
        :param plane: index of one of ``planes``, or any plane
        :param size: number of points along each side
        :param n_episodes: number of episodes of each point
        :param deterministic: whether the most likely action is taken
        :return: values of all points
        :raises ValueError: for a size below 3, or an objective that does not fit the actions
        """
        check_size(size)
        check_objective(objective, self.shape.dataset.info.action_space)
        chosen = self.planes[plane] if isinstance(plane, int) else plane
        points, markers = chosen.points(size), markers_on(chosen, self._shown)
        if objective == RETURN:
            returns = self.arena.returns(points, n_episodes, deterministic)
            errors = returns.std(axis=1, ddof=1) / np.sqrt(n_episodes) if n_episodes > 1 else None
            errors = None if errors is None else errors.reshape(size, size)
            return Surface(chosen, objective, returns.mean(axis=1).reshape(size, size), errors, markers)
        return Surface(chosen, objective, self.losses(points, objective).reshape(size, size), None, markers)

    def losses(self, points: th.Tensor, objective: str, batch: Batch | None = None) -> Array:
        """
        :param points: parameters ``(M, d)``
        :param objective: one of the losses
        :param batch: another batch than the distilled one
        :return: ``(M,)``; NaN where a point diverged
        :raises ValueError: for an unknown objective, or one that does not fit the actions
        """
        check_objective(objective, self.shape.dataset.info.action_space)
        batch = self.batch if batch is None else batch
        if objective == "surrogate":
            chunk = max(1, POINTS_AT_ONCE // (64 * len(self.experience.advantages)))
            with th.no_grad():
                values = th.cat([self.arena.surrogate(part, self.experience) for part in points.split(chunk)])
        else:
            values = LOSSES[objective](self.outputs(points, batch.inputs), batch.labels)
        losses = values.double().cpu().numpy()
        return np.where(np.isfinite(losses), losses, np.nan)

    @th.no_grad()
    def outputs(self, points: th.Tensor, inputs: th.Tensor) -> th.Tensor:
        """
        :param points: parameters ``(M, d)``
        :param inputs: observations as the networks see them ``(n, ...)``
        :return: ``(M, n, n_outputs)``
        """
        chunk = max(1, POINTS_AT_ONCE // (points.shape[1] + 64 * inputs.numel()))
        return th.cat([self.shape.outputs(part, inputs) for part in points.split(chunk)])

    @property
    def losses_of_the_set(self) -> list[str]:
        """Distilled losses that fit the actions."""
        is_box = isinstance(self.shape.dataset.info.action_space, spaces.Box)
        return ["mse"] if is_box else list(LOSSES)

    def ray(self, alphas: Sequence[float] = ALPHAS, n_episodes: int = 16, deterministic: bool = True) -> Ray:
        """
        :param alphas: places along the step of the learner: 0 is the initial network, 1 the taught one
        :param n_episodes: number of episodes of each
        :param deterministic: whether the most likely action is taken
        :return: returns and distilled losses along the step
        :raises ValueError: for fewer than two places
        """
        if len(alphas) < 2:
            raise ArgumentError(f"`alphas` must be at least two places along the step, got {len(alphas)}")
        points = line(self.points[INITIAL], self.points[TAUGHT], np.asarray(alphas))
        returns = self.arena.returns(points, n_episodes, deterministic)
        losses = {name: self.losses(points, name) for name in self.losses_of_the_set}
        return Ray(np.asarray(alphas, dtype=np.float64), returns, losses)

    def barrier(
        self,
        a: str = TAUGHT,
        b: str = RL,
        matched: bool = False,
        n_points: int = 11,
        n_episodes: int = 16,
        deterministic: bool = True,
    ) -> Barrier:
        """
        :param a: name of a network: ``"initial"``, ``"taught"``, ``"RL"``, ``"other taught"``, ...
        :param b: name of another
        :param matched: whether the units of ``b`` are put in the order of those of ``a`` first, see ``matching.match_units``
        :param n_points: number of points on the line, its ends included
        :param n_episodes: number of episodes of each
        :param deterministic: whether the most likely action is taken
        :return: returns on the straight line between the two
        :raises ValueError: for a name that the landscape does not have, or fewer than three points
        :raises TypeError: if units shall be matched and the network is no perceptron
        """
        start, end = self._point(a), self._point(b)
        if n_points < SMALLEST:
            raise ArgumentError(f"`n_points` must be at least {SMALLEST}, got {n_points}")
        end = self.matched(start, end) if matched else end
        inside = line(start, end, np.linspace(0, 1, n_points))
        returns = self.arena.returns(inside, n_episodes, deterministic)
        scale = float(returns.mean(axis=1)[[0, -1]].max()) - self.floor
        return Barrier(a, b, returns, scale if scale > 0 else float("nan"), matched)

    def matched(self, reference: th.Tensor, other: th.Tensor) -> th.Tensor:
        """
        :param reference: parameters ``(d,)``
        :param other: parameters ``(d,)``
        :return: the other network with its units in the order of the reference ``(d,)``; it computes what it did
        :raises TypeError: if the network is no perceptron
        """
        network, layout = self.shape.network, self.shape.layout
        if network.mlp is None:
            raise UnsupportedError(
                "units are matched in perceptrons, and the learners of this set are none: leave out `matched`"
            )
        odd = all(type(module).__name__ in (*ODD, "Linear", "Flatten") for _, module in network.template.chain() or [])
        one, two = (layout.unflatten(point.unsqueeze(0)) for point in (reference, other))
        return layout.flatten(match_units(one, two, network.mlp, odd))[0]

    def spectrum(self, n: int = 10, at: str = TAUGHT) -> Spectrum:
        """
        :param n: number of eigenvalues
        :param at: name of a network
        :return: top eigenvalues of the distilled loss's Hessian and of the policy's Fisher information, and how they meet
        :raises ValueError: for a name that the landscape does not have
        """
        return spectrum_at(self.shape, self.batch, self.arena, self._point(at), at, n, self.seed)

    def _point(self, name: str) -> th.Tensor:
        if name not in self.points:
            raise ArgumentError(f"there is no network {name!r} in this landscape; there are {', '.join(self.points)}")
        return self.points[name]

    @property
    def _shown(self) -> dict[str, th.Tensor]:
        """Networks that pictures mark."""
        return {name: self.points[name] for name in (INITIAL, TAUGHT, RL) if name in self.points}

    def facts(self) -> dict[str, object]:
        """What is to be known of the landscape, by name."""
        info = self.shape.dataset.info
        return {
            "task": info.env_id, "inner_loop": inner_loop_in_words(info.inner_loop), "seed": self.seed,
            "parameters": self.shape.layout.n_numbers, "networks": ", ".join(self.points),
            "planes": ", ".join(plane.name for plane in self.planes),
        }  # fmt: skip
