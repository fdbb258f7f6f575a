"""Parts of a page for people: a single HTML file, which needs no other."""

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
table { border-collapse: collapse; margin: 1em 0; font-size: 13px }
td, th { border-bottom: 1px solid #ccc; padding: .2em .8em; text-align: left; vertical-align: top }
img { max-width: 100%; height: auto }
"""
"""Looks of a page."""


def page_html(title: str, parts: Sequence[str]) -> str:
    """
    :param title: title of the page, a text
    :param parts: what stands below it, in HTML
    :return: the page
    """
    head = f"<meta charset='utf-8'><title>{text_html(title)}</title><style>{STYLE}</style>"
    body = "\n".join([f"<h1>{text_html(title)}</h1>", *parts])
    return f"<!doctype html>\n<html lang='en'><head>{head}</head><body>\n{body}\n</body></html>\n"


def picture_html(figure: "Figure", what: str) -> str:
    """
    :param figure: a figure
    :param what: what it shows, for who does not see it
    :return: the picture, inside the page
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    return f"<p><img alt='{text_html(what)}' src='data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'></p>"


def table_html(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """
    :param columns: heads of columns; none for a table without
    :param rows: texts
    :return: a table
    """
    head = f"<tr>{''.join(f'<th>{text_html(name)}</th>' for name in columns)}</tr>" if columns else ""
    body = "".join(f"<tr>{''.join(f'<td>{text_html(value)}</td>' for value in row)}</tr>\n" for row in rows)
    return f"<table>{head}\n{body}</table>"


def text_html(value: str) -> str:
    """A text as it is: names may come from files of strangers."""
    return html.escape("".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in value))
