"""Tables for pages and for Markdown: text to the left, single numbers to the right."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import polars as pl

# One number. Means with errors and intervals are as long as each other but for what comes last.
_NUMBER = re.compile(r"[+−-]?[\d,]+(\.\d+)?(e[+-]?\d+)?%?")
_NOTHING = {"", "–"}


def html_table(header: Iterable[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as a table, which scrolls by itself where it is too wide.

    Args:
        header: A name per column.
        rows: Cells as text or numbers; None leaves one empty.

    Example:
        >>> html_table(["a<b"], [["c"]])[18:72]
        '<table><thead><tr><th>a&lt;b</th></tr></thead><tbody><'
    """
    header, cells = list(header), [[_text(cell) for cell in row] for row in rows]
    kinds = [' class="number"' * numbers for numbers in _of_numbers(cells, len(header))]
    head, *body = (
        "".join(
            f"<{tag}{kind}>{escape(cell)}</{tag}>" for cell, kind in zip(row, kinds, strict=True)
        )
        for tag, row in [("th", header), *(("td", row) for row in cells)]
    )
    lines = "".join(f"<tr>{row}</tr>" for row in body)
    drawn = f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
    return f'<div class="wide">{drawn}</div>'


def html_frame(table: pl.DataFrame) -> str:
    """A frame as such a table."""
    return html_table(table.columns, table.rows())


def markdown_table(table: pl.DataFrame) -> list[str]:
    r"""A frame, a line per row.

    Example:
        >>> markdown_table(pl.DataFrame({"model": ["a|b"], "seconds": ["1,024.5"]}))
        ['| model | seconds |', '| --- | ---: |', '| a\\|b | 1,024.5 |']
    """
    rows = [[markdown_text(_text(cell)) for cell in row] for row in table.rows()]
    rules = ["---" + ":" * numbers for numbers in _of_numbers(rows, table.width)]
    header = [markdown_text(name) for name in table.columns]
    return [f"| {' | '.join(row)} |" for row in [header, rules, *rows]]


def markdown_text(text: str) -> str:
    """Text that cannot break a table, nor begin a tag."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _text(cell: Any) -> str:
    """What a cell shows."""
    return "" if cell is None else str(cell)


def _of_numbers(rows: Sequence[Sequence[str]], n_columns: int) -> list[bool]:
    """Whether each column has single numbers and nothing else."""
    shown = [{row[column] for row in rows} - _NOTHING for column in range(n_columns)]
    return [bool(texts) and all(map(_NUMBER.fullmatch, texts)) for texts in shown]
