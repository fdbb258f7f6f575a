"""Several sets side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from sb3_distill.dataset.facts import HasFacts
from sb3_distill.errors import ArgumentError
from sb3_distill.generalisation.bootstrap import Estimate, interval
from sb3_distill.generalisation.metrics import METRICS, RankAgreement, cell_means, rank_preservation
from sb3_distill.generalisation.report import GeneralisationReport
from sb3_distill.generalisation.scores import GridScores
from sb3_distill.typing import Json

TITLES = {
    "transfer": "transfer",
    "iqm": "interquartile mean",
    "worst": "worst cell",
    "cvar": "worst tenth of cells (CVaR)",
    "coverage": "coverage: cells with r >= .95",
    "failure": "failure: cells with r < .2",
    "failed_learners": "learners with r < .2",
}
"""Figures of ``METRICS`` in words."""


@dataclass(frozen=True, repr=False)
class Comparison(HasFacts):
    """
    Two reports on the same cells and learners.

    :param first: report of the set that is compared with
    :param second: report of another set, or of the same one taught otherwise
    :raises ValueError: if their grids, numbers of learners or seeds differ
    """

    first: GeneralisationReport
    second: GeneralisationReport

    def __post_init__(self) -> None:
        for name, one, two in zip(
            ("cells", "shape of the scores", "seed"), _pairing(self.first), _pairing(self.second), strict=True
        ):
            if one != two:
                raise ArgumentError(
                    f"{self.first.label} and {self.second.label} cannot be compared pair by pair, the {name} differ: make "
                    "both reports with the same grids, numbers and seed"
                )

    def facts(self) -> dict[str, object]:
        """What is to be known of the comparison, by name."""
        facts: dict[str, object] = {"second minus first": f"{self.second.label} - {self.first.label}"}
        for i, scores in enumerate(self.first.grids):
            facts |= {f"{TITLES[name]} on {scores.name}": str(value) for name, value in self.differences(i).items()}
        return facts

    def differences(self, i: int = 0) -> dict[str, Estimate]:
        """
        :param i: 0 for the grid, 1 for the one held out
        :return: by figure that of the second minus that of the first, with the interval of a paired bootstrap: cells and
            learners are drawn for both at once
        """
        one, two = self.first.grids[i], self.second.grids[i]
        return {
            name: interval(float(metric(two.r) - metric(one.r)), two.draws[name] - one.draws[name])[0]
            for name, metric in METRICS.items()
        }

    def ranks(self, i: int = 0) -> RankAgreement:
        """
        :param i: 0 for the grid, 1 for the one held out
        :return: whether both sets order the cells alike; compare ``GridScores.ceiling``
        """
        return rank_preservation(cell_means(self.first.grids[i].r), cell_means(self.second.grids[i].r))

    def summary(self) -> Json:
        """All differences in JSON form."""
        return {
            "first": self.first.label,
            "second": self.second.label,
            **{
                scores.name: {
                    "differences": {name: value.summary() for name, value in self.differences(i).items()},
                    "ranks": self.ranks(i).summary(),
                }
                for i, scores in enumerate(self.first.grids)
            },
        }


def _pairing(report: GeneralisationReport) -> tuple[object, object, object]:
    """What must be the same where scores are paired."""
    grids = report.grids
    return [list(scores.cells) for scores in grids], [scores.returns.shape for scores in grids], report.seed


def compare(reports: Sequence[GeneralisationReport]) -> list[Comparison]:
    """
    :param reports: reports on the same cells and learners
    :return: each of them but the first, compared with the first
    :raises ValueError: see ``Comparison``
    """
    return [Comparison(reports[0], other) for other in reports[1:]]


def table(reports: Sequence[GeneralisationReport]) -> tuple[list[str], list[list[str]]]:
    """
    :param reports: reports on the same cells and learners
    :return: heads of columns (a column for each report, and for its difference from the first), and rows of texts
    """
    comparisons = compare(reports)
    columns = ["", *(report.label for report in reports)]
    columns += [f"{comparison.second.label} minus {reports[0].label}" for comparison in comparisons]
    empty = ["" for _ in comparisons]
    rows = [["untaught U, reference V", *(_ends(report.grid) for report in reports), *empty]]
    rows += [["in-distribution", *(str(report.in_distribution) for report in reports), *empty]]
    for i, scores in enumerate(reports[0].grids):
        grids = [report.grids[i] for report in reports]
        rows.append([f"{scores.name}: gap", *(str(report.gap(report.grids[i])) for report in reports), *empty])
        differences = [comparison.differences(i) for comparison in comparisons]
        figures = [grid.figures for grid in grids]
        for name, title in TITLES.items():
            values = [str(each[name]) for each in (*figures, *differences)]
            rows.append([f"{scores.name}: {title}", *values])
        rows.append([f"{scores.name}: name of the worst cell", *(grid.worst_cell or "all alike" for grid in grids), *empty])
        rows.append([f"{scores.name}: ranks of cells", *(_ceiling(grid) for grid in grids), *_agreements(comparisons, i)])
    return columns, [*rows, *([*row, *empty] for row in _recipe_rows(reports))]


def _ends(scores: GridScores) -> str:
    untaught = f"{scores.untaught:.1f}" if isinstance(scores.untaught, float) else "of each cell"
    return f"{untaught}, {scores.reference:.1f}"


def _ceiling(scores: GridScores) -> str:
    return f"half against half {_tau(scores.ceiling)}"


def _agreements(comparisons: Sequence[Comparison], i: int) -> list[str]:
    return [_tau(comparison.ranks(i)) for comparison in comparisons]


def _tau(ranks: RankAgreement) -> str:
    if ranks.tau is None:
        return "no ranks"
    return f"tau {ranks.tau:.2f} ({ranks.n_tied_pairs} of {ranks.n * (ranks.n - 1) // 2} pairs tied)"


def _recipe_rows(reports: Sequence[GeneralisationReport]) -> list[list[str]]:
    """What recipes reach on each set, and on random data."""
    rows: dict[str, dict[int, str]] = {}
    for i, report in enumerate(reports):
        if report.recipes is not None:
            for name, (taught, random, _) in report.recipes.rows().items():
                rows.setdefault(f"recipe {name}", {})[i] = f"{taught}, random data {random.value:.3f}"
            rows.setdefault("recipe-robust score, 0 to 100", {})[i] = f"{report.recipes.score:.1f}"
    scores = rows.pop("recipe-robust score, 0 to 100", {})
    rows |= {"recipe-robust score, 0 to 100": scores} if scores else {}
    return [[title, *(texts.get(i, "") for i in range(len(reports)))] for title, texts in rows.items()]
