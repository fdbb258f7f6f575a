"""One page for people: tables and pictures of a search in a single HTML file, which needs no other."""

import json
import math
import os
from pathlib import Path

from sb3_distill.report.page import page_html, picture_html, table_html, text_html
from sb3_distill.search.ranking.correlation import FEWEST
from sb3_distill.search.ranking.pictures import cost_and_agreement, truth_and_scores
from sb3_distill.search.ranking.result import SearchResult
from sb3_distill.search.ranking.stored import TRUTH
from sb3_distill.whole_files import write_whole

FIGURES = """Brackets hold 95 % intervals of a bootstrap over architectures. Tau-b and Spearman compare the order of
architectures by a score with that by full training. Top 5 and top 10 are shares of the best that both orders have in common.
Regret is 0 if the pick of a score is the best architecture, and 1 if it is as good as the median. The return of a pick is that
of the truth, and is biased upwards where the score was chosen on it. Seconds are of an architecture (median), and once for
whatever is prepared before the first one."""
TESTS = """Picks and baselines were trained again with new seeds. Brackets hold 95 % intervals of a bootstrap over seeds.
P-values are two-sided; Holm corrects each test for the number of rows."""
FACTORS = """Shares of the variance of ranks that a factor explains by itself, beyond all other factors, and by chance."""


def write_page(result: SearchResult, path: str | os.PathLike[str]) -> None:
    """
    :param result: result
    :param path: path of the page, ``*.html``; the file appears whole or not at all
    :raises ImportError: without matplotlib
    """
    write_whole(Path(path), page_of(result).encode())


def page_of(result: SearchResult) -> str:
    """
    :param result: result
    :return: the page. Names may come from files of strangers, and are shown as they are
    :raises ImportError: without matplotlib
    """
    parts = [f"<p>{len(result.keys)} architectures.</p>"]
    parts += [f"<p>{text_html(json.dumps(result.info, default=str))}</p>"] if result.info else []
    parts += ["<h2>Scores</h2>", f"<p>{text_html(FIGURES)}</p>", table_html(*result.table())]
    enough = len(result.keys) >= FEWEST
    if result.truth is not None and result.scores:
        parts += [picture_html(truth_and_scores(result), "true mean return against each score")]
        if enough:
            parts += ["<h2>Noise of the truth</h2>", table_html(*result.ceiling_table())]
        if any(name in result.costs and math.isfinite(one.tau_b.value) for name, one in result.agreements.items()):
            parts += ["<h2>Cost</h2>", picture_html(cost_and_agreement(result), "tau-b against seconds")]
    if enough:
        parts += ["<h2>Tau-b of each two ways</h2>", _pairwise(result), *_factors(result)]
    if result.picks:
        rows = [[way, key, json.dumps(result.architectures[result.keys.index(key)])] for way, key in result.picks.items()]
        parts += ["<h2>Picks</h2>", table_html(["way", "key", "architecture"], rows)]
    if result.comparisons:
        parts += ["<h2>Confirmation</h2>", f"<p>{text_html(TESTS)}</p>", table_html(*result.comparison_table())]
    return page_html("Search of architectures", parts)


def _pairwise(result: SearchResult) -> str:
    found = result.pairwise()
    rows = [[name, *("-" if math.isnan(tau) else f"{tau:.2f}" for tau in taus.values())] for name, taus in found.items()]
    return table_html(["", *found], rows)


def _factors(result: SearchResult) -> list[str]:
    """What the truth follows, or each score where there is none."""
    names = [TRUTH] if result.truth is not None else list(result.scores)
    rows = []
    for name in names:
        for factor, one in result.importance(name).items():
            beyond = "-" if math.isnan(one.beyond) else f"{one.beyond:.0%}"
            rows.append([name, factor, f"{one.alone:.0%}", beyond, f"{one.chance:.0%}"])
    head = ["of", "factor", "by itself", "beyond the others", "by chance"]
    return ["<h2>Factors</h2>", f"<p>{text_html(FACTORS)}</p>", table_html(head, rows)] if rows else []
