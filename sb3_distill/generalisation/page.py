"""One page for people: tables and pictures of reports in a single HTML file, which needs no other."""

import base64
import html
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sb3_distill.generalisation.comparison import table
from sb3_distill.generalisation.pictures import dots, factor_bars, profiles
from sb3_distill.generalisation.report import GeneralisationReport
from sb3_distill.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
table { border-collapse: collapse; margin: 1em 0; font-size: 13px }
td, th { border-bottom: 1px solid #ccc; padding: .2em .8em; text-align: left; vertical-align: top }
img { max-width: 100%; height: auto }
"""
FIGURES = """Figures are normalised returns r = (R - U) / (V - U), with R the mean return of a learner, U that of untaught
learners and V the reference. Brackets hold 95 % intervals of a bootstrap over cells, then learners; that of the worst cell is
over learners alone. Differences are paired by cell and learner."""


def write_page(reports: Sequence[GeneralisationReport], path: str | os.PathLike[str]) -> None:
    """
    :param reports: reports on the same cells and learners
    :param path: path of the page, ``*.html``; the file appears whole or not at all
    :raises ImportError: without matplotlib
    :raises ValueError: if the reports cannot be compared
    """
    write_whole(Path(path), page_of(reports).encode())


def page_of(reports: Sequence[GeneralisationReport]) -> str:
    """
    :param reports: reports on the same cells and learners
    :return: the page. Names may come from files of strangers, and are shown as they are
    :raises ImportError: without matplotlib
    """
    names = ", ".join(report.label for report in reports)
    parts = [
        f"<h1>Generalisation of {_text(names)}</h1>",
        f"<p>{_text(FIGURES)}</p>",
        f"<p>{_text(str(reports[0].facts()['protocol']))}.</p>",
    ]
    parts += ["<h2>Figures</h2>", _table(*table(reports))]
    for i, scores in enumerate(reports[0].grids):
        parts += [f"<h2>Cells of {_text(scores.name)}</h2>", _picture(dots(reports, i), "each cell with its interval")]
        parts += [_picture(profiles(reports, i), "share of learners above each return")]
    parts += ["<h2>Factors</h2>", _picture(factor_bars(reports), "mean of each level of each factor")]
    parts += [_table(["factor", *(report.label for report in reports)], _factors(reports))]
    title = _text(f"Generalisation of {names}")
    head = f"<meta charset='utf-8'><title>{title}</title><style>{STYLE}</style>"
    return f"<!doctype html>\n<html lang='en'><head>{head}</head><body>\n" + "\n".join(parts) + "\n</body></html>\n"


def _factors(reports: Sequence[GeneralisationReport]) -> list[list[str]]:
    """The range of each factor, what is noise, and the share of the variance."""
    found = [report.sensitivity for report in reports]
    rows = []
    for effects in zip(*(one.effects for one in found), strict=True):
        texts = [f"spread {each.spread}, by chance {each.noise:.3f}, {each.share:.0%} of the variance" for each in effects]
        rows.append([effects[0].factor, *texts])
    return rows or [["-", *(one.note for one in found)]]


def _picture(figure: "Figure", what: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    return f"<p><img alt='{_text(what)}' src='data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'></p>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = f"<tr>{''.join(f'<th>{_text(name)}</th>' for name in columns)}</tr>" if columns else ""
    body = "".join(f"<tr>{''.join(f'<td>{_text(value)}</td>' for value in row)}</tr>\n" for row in rows)
    return f"<table>{head}\n{body}</table>"


def _text(value: str) -> str:
    return html.escape("".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in value))
