"""One page for people: tables and pictures of reports in a single HTML file, which needs no other."""

import os
from collections.abc import Sequence
from pathlib import Path

from sb3_distill.generalisation.comparison import table
from sb3_distill.generalisation.pictures import dots, factor_bars, profiles
from sb3_distill.generalisation.report import GeneralisationReport
from sb3_distill.report.page import page_html, picture_html, table_html, text_html
from sb3_distill.whole_files import write_whole

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
        f"<p>{text_html(FIGURES)}</p>",
        f"<p>{text_html(str(reports[0].facts()['protocol']))}.</p>",
    ]
    parts += ["<h2>Figures</h2>", table_html(*table(reports))]
    for i, scores in enumerate(reports[0].grids):
        parts += [f"<h2>Cells of {text_html(scores.name)}</h2>", picture_html(dots(reports, i), "each cell with its interval")]
        parts += [picture_html(profiles(reports, i), "share of learners above each return")]
    parts += ["<h2>Factors</h2>", picture_html(factor_bars(reports), "mean of each level of each factor")]
    parts += [table_html(["factor", *(report.label for report in reports)], _factors(reports))]
    return page_html(f"Generalisation of {names}", parts)


def _factors(reports: Sequence[GeneralisationReport]) -> list[list[str]]:
    """The range of each factor, what is noise, and the share of the variance."""
    found = [report.sensitivity for report in reports]
    rows = []
    for effects in zip(*(one.effects for one in found), strict=True):
        texts = [f"spread {each.spread}, by chance {each.noise:.3f}, {each.share:.0%} of the variance" for each in effects]
        rows.append([effects[0].factor, *texts])
    return rows or [["-", *(one.note for one in found)]]
