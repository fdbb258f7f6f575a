"""New figures beside those of the last JSON."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from benchmarks.lib.results import machine, read
from sb3_distill.typing import Json


def differences(now: Json, before: Json) -> list[str]:
    """
    :param now: this machine, see ``machine``
    :param before: the machine of the last JSON
    :return: what differs, in words, of what both say
    """
    return [f"{name} {before[name]}, now {now[name]}" for name in now.keys() & before.keys() if now[name] != before[name]]


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def show_against_last(name: str, figures: Mapping[str, float], last: Mapping[str, float]) -> None:
    """
    Print a table of new and last figures, and whether the machines differ.

    :param name: name of the file of results
    :param figures: new figures
    :param last: the same figures of the last JSON; those that are missing are left out
    """
    table = Table(title=f"Against results/{name}.json")
    for column in ("", "now", "last", "now / last"):
        table.add_column(column, justify="right" if column else "left")
    for figure, value in figures.items():
        before = last.get(figure)
        cells = ("-", "-") if before is None else (_rounded(before), f"{value / before:.2f}")
        table.add_row(figure, _rounded(value), *cells)
    console = Console()
    console.print(table)
    differ = differences(machine(), read(name).get("machine", {}))
    console.print(f"Machines and versions differ: {'; '.join(differ)}." if differ else "The machine has the same description.")
    console.print(
        "Machines of one description differ too, and so does their load: benchmarks/speed/versions.py compares two versions "
        "on one machine, in turns."
    )
