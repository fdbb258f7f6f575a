"""Tables of docs/landscapes.md, from ``results/landscape.json``."""

from collections.abc import Sequence

from sb3_distill.landscape import LandscapeReport
from sb3_distill.typing import Json

PERTURBED = (
    "action noise 0.1",
    "action noise 0.3",
    "pole mass x 0.25",
    "pole mass x 4",
    "pole mass x 8",
    "friction 2",
    "friction 8",
)
"""Perturbations that the page shows."""


def _of(values: Json, digits: int = 2) -> str:
    """A figure with its interval; the figure alone where the interval has no width."""
    value, low, high = (f"{values[key]:.{digits}f}".replace("-0.00", "0.00") for key in ("value", "low", "high"))
    return value if low == high else f"{value} [{low}, {high}]"


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _reports(results: Json) -> dict[str, LandscapeReport]:
    reports = {name: LandscapeReport.from_summary(summary) for name, summary in results["sets"].items()}
    return dict(sorted(reports.items(), key=lambda pair: int(pair[0][0])))


def _judged(report: LandscapeReport, name: str) -> str:
    text = _of(report.estimate(name).summary())
    return f"**{text}**" if report.says_something(name) else text


def regret(results: Json) -> str:
    """Regret on planes without the taught network; bold is what beats all controls."""
    rows = []
    for name, report in _reports(results).items():
        row = [name, str(len(report.seeds))]
        for loss in ("mse", "profiled"):
            figure = f"regret {loss} without"
            labels = (report.estimate(figure, control).value for control in ("shuffled labels", "random labels"))
            row += [_judged(report, figure), " / ".join(f"{value:.2f}" for value in labels)]
        rows.append(row)
    return _rows(["set", "seeds", "`mse`", "shuffled / random", "`profiled`", "shuffled / random"], rows)


def shared(results: Json) -> str:
    """What taught and RL-trained networks share; bold is what beats all controls."""
    rows = []
    for name, report in _reports(results).items():
        barrier, share = "barrier greedy", report.controls("fisher share")
        others = " / ".join(f"{report.estimate(barrier, key).value:.2f}" for key in report.controls(barrier))
        shares = " / ".join(f"{report.estimate('fisher share', key).value:.2f}" for key in share)
        above = _of(report.estimate("gradient cosine", less="random labels").summary())
        rows.append(
            [
                name, _judged(report, barrier), _of(report.estimate("barrier sampled").summary()), others, above,
                f"{report.estimate('gradient ceiling').value:.2f}", _judged(report, "fisher share"), shares,
                _judged(report, "path cosine"),
            ]
        )  # fmt: skip
    head = [
        "set", "barrier to RL, greedy", "sampled", "random end / other start", "gradient cosine above random labels",
        "ceiling", "Fisher share", "random rows / real states / untrained X", "path cosine",
    ]  # fmt: skip
    return _rows(head, rows)


def between(results: Json) -> str:
    """Barriers between networks of two initialisations."""
    lines = ("taught - taught", "taught - RL", "RL - RL")
    rows = []
    for name, found in results["between seeds"].items():
        pairs = (f"{_of(found[f'{line} as they are'])} → {_of(found[f'{line} matched'])}" for line in lines)
        rows.append([name, *pairs])
    return _rows(["set", *lines], rows)


def every(results: Json) -> str:
    """What a step leaves of the loss, for each shipped set of gradient steps, and counts. One file may have several names."""
    distinct = {tuple(row.values()): (name, row) for name, row in results["every set"].items()}.values()
    figures = [(row["as stored"], row["left"], row["left, shuffled labels"]) for _, row in distinct]
    rows = [
        [name, str(row["k"]), f"{stored:.3g}", f"{left:.3f}", f"{control:.3f}"]
        for (name, row), (stored, left, control) in zip(distinct, figures, strict=True)
    ]
    counts = (
        f"{len(figures)} sets: the loss rises in {sum(stored > 1 for stored, _, _ in figures)}, less than half is left in "
        f"{sum(left < 0.5 for _, left, _ in figures)}, {sum(left < other - 0.02 for _, left, other in figures)} beat shuffled"
    )
    return _rows(["set", "k", "taught / initial, as stored", "loss left", "shuffled labels"], rows) + f"\n\n{counts}"


def at_alpha_one(results: Json) -> str:
    """One-step sets whose labels were rescaled."""
    rows = [
        [name, f"{row['labels x']:.1f}", *(_of(row[key]) for key in ("alpha*", "loss taught / initial", "profiled")),
         *(f"{row[f'return {kind}']['value']:.0f}" for kind in ("greedy", "sampled"))]
        for name, row in results["at alpha* = 1"].items()
    ]  # fmt: skip
    return _rows(["set", "labels x", "`alpha*`", "loss taught / initial", "`profiled`", "greedy", "sampled"], rows)


def robust(results: Json) -> str:
    """Returns under perturbations."""
    rows = []
    for what in PERTURBED:
        row = [what]
        for found in results["robustness"].values():
            one = found[what]
            row.append(f"{one['taught']:.0f} / {one['RL']:.0f}: {_of(one['taught less RL'], 0)}")
        rows.append(row)
    return _rows(["taught / RL: difference", *results["robustness"]], rows)


def update(results: Json) -> str:
    """Single updates of PPO."""
    rows = [
        [name, *(f"{row[who]['left tail']:.2f} ({row[who]['return before']:.0f} → {row[who]['return after']:.0f})" for who in
                 ("taught", "RL")), _of(row["left tail, taught less RL"])]
        for name, row in results["after an update"].items()
    ]  # fmt: skip
    return _rows(["", "taught", "RL-trained", "difference"], rows)


def flat(results: Json) -> str:
    """Flatness and cliffs, taught less RL-trained."""
    rows = [
        [name, *(_of(report.estimate(key).summary()) for key in ("good share", "cliff", "overlap"))]
        for name, report in _reports(results).items()
    ]
    return _rows(["set", "share of good points", "largest drop", "overlap of top eigenspaces"], rows)


TABLES = {
    "regret": regret, "shared": shared, "between seeds": between, "every set": every, "at alpha* = 1": at_alpha_one,
    "robustness": robust, "after an update": update, "flatness": flat,
}  # fmt: skip
"""Functions of the results, by what they show."""
