"""The figures of a landscape over seeds, each beside its controls."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from sb3_distill.dataset.facts import HasFacts, inner_loop_in_words
from sb3_distill.errors import ArgumentError
from sb3_distill.generalisation.bootstrap import Estimate, estimate
from sb3_distill.generalisation.metrics import transfer
from sb3_distill.typing import Json


class Title(NamedTuple):
    """
    :param text: what the figure is
    :param sign: 1 if more of it speaks for the set, -1 if less does, 0 if it stands alone
    """

    text: str
    sign: int


TITLES: dict[str, Title] = {
    "return taught greedy": Title("return of the taught network, greedy", 0),
    "return taught sampled": Title("return of the taught network, sampled", 0),
    "return RL greedy": Title("return of the RL-trained network, greedy", 0),
    "return RL sampled": Title("return of the RL-trained network, sampled", 0),
    "gradient cosine": Title("cosine of distilled and policy gradient at the start", 1),
    "gradient ceiling": Title("cosine of two policy gradients", 0),
    "path cosine": Title("cosine of the step with RL's path", 1),
    "early cosine": Title("the same with the first tenth of RL's path", 0),
    "barrier greedy": Title("barrier taught - RL, same start, greedy", -1),
    "barrier sampled": Title("barrier taught - RL, same start, sampled", -1),
    "barrier inits": Title("barrier between taught networks of two initialisations, units matched", -1),
    "fisher share": Title("share of the Fisher trace in the span of the distilled Jacobian", 1),
    "overlap": Title("overlap of top eigenspaces, distilled Hessian and Fisher", 0),
    "regret mse without": Title("regret at the least distilled loss, planes without the taught network", -1),
    "regret profiled without": Title("the same, scale-free loss", -1),
    "regret mse with": Title("regret at the least distilled loss, planes with the taught network", -1),
    "regret profiled with": Title("the same, scale-free loss", -1),
    "rank mse without": Title("rank correlation of return and minus loss, planes without the taught network", 1),
    "rank profiled without": Title("the same, scale-free loss", 1),
    "rank mse with": Title("rank correlation of return and minus loss, planes with the taught network", 1),
    "rank profiled with": Title("the same, scale-free loss", 1),
    "alpha*": Title("place of the least loss along the step (1: taught)", 0),
    "loss taught / initial": Title("distilled loss of the taught network over that of the initial one", 0),
    "loss left": Title("the same at the scale of labels that puts the minimum at the taught network", -1),
    "good share": Title("share of random planes within a tenth of the best return: around taught less around RL", 0),
    "cliff": Title("largest drop between neighbours, in units of the range: around taught less around RL", 0),
    "diverged": Title("points that diverged", 0),
}
"""Figures in words, in the order of tables."""


class Figure(NamedTuple):
    """
    One number of one seed.

    :param value: of the distilled set
    :param controls: of its controls, by name
    """

    value: float
    controls: Mapping[str, float] = {}


@dataclass(frozen=True, repr=False)
class LandscapeReport(HasFacts):
    """
    Figures of several seeds. Intervals are those of a bootstrap over seeds, each of which has its own learner, RL training,
    planes and controls.

    :param name: name of the set
    :param inner_loop: how it teaches, as ``DatasetInfo.inner_loop`` says it
    :param figures: figures of each seed, by the names of ``TITLES``
    :param protocol: what was measured, by name: sizes, numbers of episodes, RL timesteps
    :param seeds: seeds
    """

    name: str
    inner_loop: Mapping[str, object]
    figures: Sequence[Mapping[str, Figure]] = field(repr=False)
    protocol: Mapping[str, object]
    seeds: Sequence[int]

    @property
    def names(self) -> list[str]:
        """Names of the figures that every seed has."""
        return [name for name in TITLES if all(name in figures for figures in self.figures)]

    def estimate(self, name: str, control: str | None = None, less: str | None = None) -> Estimate:
        """
        :param name: name of a figure
        :param control: name of a control, which is meant instead of the set
        :param less: name of a control that is taken off, seed by seed
        :return: mean over seeds with its interval; seeds whose number is NaN are left out, NaN if all are
        """
        values = np.array([_number(figures[name], control) for figures in self.figures])
        if less is not None:
            values = values - np.array([_number(figures[name], less) for figures in self.figures])
        values = values[np.isfinite(values)]
        if not len(values):
            return Estimate(math.nan, math.nan, math.nan)
        return estimate(transfer, values[:, None])[0]

    def controls(self, name: str) -> list[str]:
        """Names of the controls of a figure."""
        return list(self.figures[0][name].controls)

    def says_something(self, name: str) -> bool | None:
        """
        :param name: name of a figure
        :return: whether the set is ahead of each control by more than ``MARGIN``, with the interval of a paired bootstrap
            above 0; ``None`` for a figure without controls, for one that stands alone, and for one seed, which has no interval
        """
        sign = TITLES[name].sign
        controls = [control for control in self.controls(name) if control not in UNBEATABLE]
        if not sign or not controls or len(self.seeds) < 2:
            return None
        differences = [self.estimate(name, less=control) for control in controls]
        return all(sign * one.value > MARGIN and min(sign * one.low, sign * one.high) > 0 for one in differences)

    def summary(self) -> Json:
        """All figures in JSON form, with those of each seed."""
        return {
            "name": self.name,
            "inner_loop": dict(self.inner_loop),
            "protocol": dict(self.protocol),
            "figures": {
                name: {
                    **_in_json(self.estimate(name)),
                    "controls": {control: _in_json(self.estimate(name, control)) for control in self.controls(name)},
                    "says_something": self.says_something(name),
                }
                for name in self.names
            },
            "seeds": [
                {"seed": seed, "figures": {name: _plain(figure) for name, figure in figures.items()}}
                for seed, figures in zip(self.seeds, self.figures, strict=True)
            ],
        }

    @classmethod
    def from_summary(cls, summary: Json) -> "LandscapeReport":
        """
        :param summary: what ``summary`` returned
        :return: an equal report
        """
        figures = [
            {
                name: Figure(_back(entry["value"]), {key: _back(value) for key, value in entry["controls"].items()})
                for name, entry in seed["figures"].items()
            }
            for seed in summary["seeds"]
        ]
        seeds = [seed["seed"] for seed in summary["seeds"]]
        return cls(summary["name"], summary["inner_loop"], figures, summary["protocol"], seeds)

    @classmethod
    def joined(cls, parts: "Sequence[LandscapeReport]") -> "LandscapeReport":
        """
        :param parts: reports of one set with the same protocol, of different seeds
        :return: one report with all seeds
        :raises ValueError: if there is none, or they differ in what was measured
        """
        if not parts or any((part.name, part.protocol) != (parts[0].name, parts[0].protocol) for part in parts):
            raise ArgumentError("reports are joined that measured the same set in the same way, one at least")
        figures = [one for part in parts for one in part.figures]
        return replace(parts[0], figures=figures, seeds=[seed for part in parts for seed in part.seeds])

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heads of columns, and a row of texts for each figure."""
        rows = []
        for name in self.names:
            controls = ", ".join(f"{control} {_short(self.estimate(name, control))}" for control in self.controls(name))
            verdict = {None: "", True: "yes", False: "no"}[self.says_something(name)]
            rows.append([TITLES[name].text, str(self.estimate(name)), controls, verdict])
        return ["figure", "set", "controls", "beats them"], rows

    def facts(self) -> dict[str, object]:
        """What is to be known of the report, by name."""
        facts: dict[str, object] = {"set": f"{self.name} ({inner_loop_in_words(dict(self.inner_loop))})"}
        shown = [name for name in self.names if TITLES[name].sign]
        facts |= {TITLES[name].text: str(self.estimate(name)) for name in shown}
        return {**facts, "protocol": ", ".join(f"{key} {value}" for key, value in self.protocol.items())}


MARGIN = 0.02
"""Difference that counts as none; all figures with controls have a range of about 1."""
UNBEATABLE = ("labels x 10", "as they are")
"""Controls that shall agree with the set, not fall behind it: they say whether a figure depends on the scale of labels, or
what a number was before units were matched."""


def _number(figure: Figure, control: str | None) -> float:
    return figure.value if control is None else figure.controls.get(control, math.nan)


def _plain(figure: Figure) -> Json:
    controls = {key: _or_none(value) for key, value in figure.controls.items()}
    return {"value": _or_none(figure.value), "controls": controls}


def _in_json(figure: Estimate) -> Json:
    return {key: _or_none(value) for key, value in figure.summary().items()}


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _back(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _short(figure: Estimate) -> str:
    return f"{figure.value:.3f}"
