"""What a search found: figures and tables of architectures, truth, scores, costs, picks and their confirmation."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from sb3_distill.errors import ArgumentError
from sb3_distill.generalisation.bootstrap import Estimate
from sb3_distill.search.ranking.ceiling import NoiseCeiling, noise_ceiling
from sb3_distill.search.ranking.combination import Importance, importance, rank_average
from sb3_distill.search.ranking.correlation import FEWEST, enough, means_of, n_tied_pairs, tau_b
from sb3_distill.search.ranking.cost import break_even
from sb3_distill.search.ranking.picks import PickComparison, compare_pick, holm_family
from sb3_distill.search.ranking.resampling import (
    Agreement,
    agreements,
    estimate_in_json,
    summary_of,
    tau_b_difference,
)
from sb3_distill.search.ranking.stored import TRUTH, StoredResult
from sb3_distill.typing import Array, Json
from sb3_distill.whole_files import write_whole

RANKING = "ranking.json"
"""Name of the file of a result."""


@dataclass(frozen=True, repr=False, eq=False)
class SearchResult(StoredResult):
    """
    The figures of a search; ``StoredResult`` has the arguments. Figures are computed when they are first asked for.
    """

    @cached_property
    def agreements(self) -> dict[str, Agreement]:
        """How each score agrees with the truth on the architectures that it has; none without a truth."""
        if self.truth is None:
            return {}
        masks = {name: self.scored(name) for name in self.scores}
        few = {name: int(mask.sum()) for name, mask in masks.items() if mask.sum() < FEWEST}
        if few:
            enough(min(few.values()), f"a correlation of {', '.join(few)}")  # one warning for all
        found = {name: Agreement(n, n_tied_pairs(self.scores[name][masks[name]])) for name, n in few.items()}
        for mask in {mask.tobytes(): mask for mask in masks.values() if mask.sum() >= FEWEST}.values():
            group = {name: self.scores[name][mask] for name, same in masks.items() if np.array_equal(same, mask)}
            found |= agreements(self.truth[mask], group, self.seed)
        return {name: found[name] for name in self.scores}

    @cached_property
    def ceiling(self) -> NoiseCeiling | None:
        """How well the truth agrees with itself; ``None`` without a truth, or with too few architectures."""
        return noise_ceiling(self.truth, self.seed) if self.truth is not None and len(self.keys) >= FEWEST else None

    @cached_property
    def comparisons(self) -> list[PickComparison]:
        """
        Each confirmed pick against each baseline, one Holm family. Where a claim is about several tasks, pass the comparisons
        of all of them to ``picks.holm_family``.
        """
        returns = self.confirmations
        pairs = [(way, base) for way in returns if way not in self.baselines for base in self.baselines]
        return holm_family([compare_pick(way, returns[way], base, returns[base], self.seed) for way, base in pairs])

    def difference(self, name: str, other: str) -> Estimate:
        """
        :param name: name of a score
        :param other: name of the one that it is compared with
        :return: difference of their tau-b on the architectures that both have, see ``resampling.tau_b_difference``
        :raises ValueError: without a truth, or if there is no such score
        """
        for one in (name, other):
            self._check_name(one, self.scores)
        if self.truth is None:
            raise ArgumentError("the result has no truth to compare scores by: train architectures fully, and pass `truth`")
        both = self.scored(name) & self.scored(other)
        return tau_b_difference(self.truth[both], self.scores[name][both], self.scores[other][both], self.seed)

    def differences(self, control: str) -> dict[str, Estimate]:
        """
        :param control: name of a score that others must beat, the parameter count for instance
        :return: difference of tau-b of each other score, see ``difference``; intervals are not corrected for their number
        :raises ValueError: without a truth, or for another name
        """
        return {name: self.difference(name, control) for name in self.scores if name != control}

    def pairwise(self) -> dict[str, dict[str, float]]:
        """Tau-b of each two ways on the architectures that both have, the truth among them; NaN for too few."""
        ways = {**{name: self.scores[name] for name in self.scores}, **self.true_returns}
        masks = {name: self.scored(name) for name in self.scores} | {TRUTH: np.ones(len(self.keys), dtype=bool)}
        found: dict[str, dict[str, float]] = {name: {} for name in ways}
        for one in ways:
            for two in ways:
                both = masks[one] & masks[two]
                found[one][two] = tau_b(ways[one][both], ways[two][both]) if both.sum() >= FEWEST else math.nan
        return found

    def importance(self, name: str = TRUTH) -> dict[str, Importance]:
        """
        :param name: name of a score, or ``"truth"``
        :return: which factors of the architecture it follows, see ``combination.importance``
        :raises ValueError: if there is no such score
        """
        ways = {**self.scores, **self.true_returns}
        self._check_name(name, ways)
        mask = np.ones(len(self.keys), dtype=bool) if name == TRUTH else self.scored(name)
        chosen = [architecture for architecture, there in zip(self.architectures, mask, strict=True) if there]
        return importance(chosen, ways[name][mask])

    def with_rank_average(self, name: str, names: Sequence[str]) -> "SearchResult":
        """
        :param name: name of the new score
        :param names: scores whose mean rank it is
        :return: the result with one more score, for the architectures that have all of them
        """
        for one in names:
            self._check_name(one, self.scores)
        mask = np.logical_and.reduce([self.scored(one) for one in names])
        average = np.full(len(self.keys), np.nan)
        average[mask] = rank_average([self.scores[one][mask] for one in names])
        return replace(self, scores={**self.scores, name: average})

    def pays_from(self, name: str, other: str = TRUTH) -> float | None:
        """
        :param name: name of a way
        :param other: name of the way that it is compared with
        :return: number of candidates from which it is no dearer, see ``cost.break_even``; ``None`` if one has no cost
        """
        return break_even(self.costs[name], self.costs[other]) if {name, other} <= set(self.costs) else None

    def best(self, name: str) -> tuple[str, float]:
        """
        :param name: name of a score
        :return: key and mean score of the architecture that it ranks first, the first one of ties; ``("", NaN)`` for no score
        """
        mask = self.scored(name)
        if not mask.any():
            return "", math.nan
        means = means_of(self.scores[name][mask])
        return str(np.array(self.keys)[mask][means.argmax()]), float(means.max())

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heads of columns, and a row of texts for each score: figures if there is a truth, else what each way ranks first."""
        heads = list(HEADS if self.truth is not None else HEADS_WITHOUT_TRUTH)
        rows = []
        for name in self.scores:
            n, cost = int(self.scored(name).sum()), self.costs.get(name)
            if found := self.agreements.get(name):
                figures = [_with_interval(found.tau_b), *(_short(getattr(found, key)) for key in SHORT)]
                figures += [_short(found.pick_return, 1)]
            else:
                key, score = self.best(name)
                figures = [key, f"{score:.4g}"]
            n_tied = found.n_tied_pairs if found else n_tied_pairs(self.scores[name][self.scored(name)])
            costs = ["-", "-"] if cost is None else [f"{cost.per_candidate:.3g}", f"{cost.once:.4g}"]
            rows.append([name, str(n), *figures, f"{n_tied} of {n * (n - 1) // 2}", *costs, _candidates(self.pays_from(name))])
        return heads, rows

    def ceiling_table(self) -> tuple[list[str], list[list[str]]]:
        """Heads of columns, and a row for each agreement of the truth with itself; no rows without a truth."""
        found = self.ceiling
        rows = [] if found is None else [[text, _with_interval(getattr(found, name))] for name, text in CEILINGS.items()]
        return ["truth against itself", "tau-b"], rows

    def comparison_table(self) -> tuple[list[str], list[list[str]]]:
        """Heads of columns, and a row for each confirmed pick against each baseline."""
        rows = []
        for one in self.comparisons:
            p_values = (one.welch, one.welch_holm, one.mann_whitney, one.mann_whitney_holm)
            texts = ["-" if math.isnan(value) else f"{value:.2g}" for value in p_values]
            difference = _with_interval(one.difference, 1)
            rows.append([f"{one.pick} - {one.baseline}", difference, _with_interval(one.improvement), *texts])
        return ["pick - baseline", "difference", "P(better)", "Welch p", "by Holm", "Mann-Whitney p", "by Holm"], rows

    def summary(self) -> Json:
        """All figures in JSON form; a number that is not there is ``None``."""
        ceiling = None if self.ceiling is None else self.ceiling._asdict()
        return {
            "agreements": {name: summary_of(found) for name, found in self.agreements.items()},
            "best": {name: self.best(name)[0] for name in self.scores},
            "ceiling": ceiling and {k: v if isinstance(v, int) else estimate_in_json(v) for k, v in ceiling.items()},
            "comparisons": [one.summary() for one in self.comparisons],
            "pairwise": {
                name: {other: None if math.isnan(tau) else tau for other, tau in taus.items()}
                for name, taus in self.pairwise().items()
            },
        }

    def facts(self) -> dict[str, object]:
        """What is to be known of the result, by name."""
        seeds = None if self.truth is None else self.truth.reshape(len(self.keys), -1).shape[1]
        facts: dict[str, object] = {
            "architectures": len(self.keys),
            "seeds of the truth": seeds,
            "scores": ", ".join(self.scores),
        }
        taus = {name: self._tau_with_truth(name) for name in self.scores}  # without intervals, which take a second
        facts |= {f"tau-b of {name}": f"{tau:.2f}" for name, tau in taus.items() if not math.isnan(tau)}
        return {**facts, **{f"pick of {way}": key for way, key in self.picks.items()}}

    def _check_name(self, name: str, names: Mapping[str, Array]) -> None:
        if name not in names:
            raise ArgumentError(f"there is no score {name!r}: choose from {', '.join(map(repr, names))}")

    def _tau_with_truth(self, name: str) -> float:
        """Tau-b of a score, NaN without a warning where there is none."""
        mask = self.scored(name)
        return math.nan if self.truth is None or mask.sum() < FEWEST else tau_b(self.truth[mask], self.scores[name][mask])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """
        :param path: folder, in which ``ranking.json`` appears, or the path of a ``*.json`` file; whole or not at all
        :return: path of the file, with the numbers and the figures made of them
        :raises ValueError: if ``info`` or an architecture is no JSON
        """
        file = Path(path) if Path(path).suffix == ".json" else Path(path) / RANKING
        content = {**self.to_json(), "figures": self.summary()}
        try:
            text = json.dumps(content, indent=1, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"`info` and `architectures` must be JSON, without NaN and infinity: {error}") from error
        write_whole(file, (text + "\n").encode())
        return file

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "SearchResult":
        """
        :param path: what ``save`` was given
        :return: the result that was saved
        :raises ValueError: if the file is none of ``save``
        """
        file = Path(path) if Path(path).suffix == ".json" else Path(path) / RANKING
        try:
            content = json.loads(file.read_text())
        except ValueError as error:
            raise ArgumentError(f"{file} is no JSON: {error}; `SearchResult.save` writes a ranking") from error
        return cls.from_json(content if isinstance(content, dict) else {})


SHORT = ("spearman", "top_5", "top_10", "regret")
"""Figures that a table shows without their intervals, since one of them is enough to read."""
HEADS = (
    "score", "architectures", "tau-b", "Spearman", "top 5", "top 10", "regret", "return of the pick", "tied pairs",
    "s each", "s once", "cheaper than the truth from",
)  # fmt: skip
"""Heads of a table where there is a truth."""
HEADS_WITHOUT_TRUTH = (
    "score", "architectures", "ranks first", "its score", "tied pairs", "s each", "s once", "cheaper than the truth from"
)  # fmt: skip
"""Heads where there is none."""
CEILINGS = {
    "single": "one seed against another",
    "halves": "one half of the seeds against the other",
    "rest": "one seed against the mean of the others",
    "noiseless": "returns without noise against the mean of all seeds, if normal",
}
"""Agreements of the truth with itself, in words."""


def _short(found: Estimate, digits: int = 2) -> str:
    return "-" if math.isnan(found.value) else f"{found.value:.{digits}f}"


def _with_interval(found: Estimate, digits: int = 2) -> str:
    if math.isnan(found.value):
        return "-"
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _candidates(n: float | None) -> str:
    if n is None:
        return "-"
    return "never" if math.isinf(n) else f"{n:.0f}"
