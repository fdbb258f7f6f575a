"""What commands print."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sb3_distill.dataset.facts import inner_loop_in_words
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.evaluation.result import Evaluation
from sb3_distill.typing import Json


def visible(text: str) -> str:
    """
    :param text: a text that may come from a file
    :return: the same with all signs that a terminal obeys (colours, titles, links, directions) written out
    """
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def shown(text: str) -> Text:
    """
    :param text: a text that may come from a file
    :return: the same for a table: neither a terminal's commands nor the markup of rich are obeyed
    """
    return Text("\n".join(map(visible, text.split("\n"))))


def kind_of(dataset: SyntheticDataset) -> str:
    """The inner loop of a dataset in a few words."""
    return inner_loop_in_words(dataset.info.inner_loop)


def score_of(summary: Json) -> str:
    """Mean and standard deviation of a summary of ``Evaluation``; a dash for an empty one."""
    return f"{summary['mean']:.1f} ± {summary['std']:.1f}" if summary else "-"


def print_evaluations(title: str, evaluations: Mapping[str, Evaluation]) -> None:
    """
    :param title: title of the table
    :param evaluations: one for each row, by its name
    """
    rows = []
    for name, evaluation in evaluations.items():
        low, high = evaluation.iqm_interval()
        figures = (evaluation.mean, evaluation.std, evaluation.iqm)
        rows.append([name, *(f"{figure:.1f}" for figure in figures), f"{low:.1f} to {high:.1f}"])
    print_table(title, ["", "mean", "sd over learners", "IQM", "95 % interval"], rows, left=[""])


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[str] = (), whole: Sequence[str] = ()
) -> None:
    """
    :param title: title of the table
    :param columns: heads of the columns
    :param rows: a text for each column
    :param left: columns whose texts begin at the left
    :param whole: columns whose texts are not broken into lines
    """
    table = Table(title=shown(title))
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", no_wrap=column in whole)
    for row in rows:
        table.add_row(*map(shown, row))
    Console().print(table)
