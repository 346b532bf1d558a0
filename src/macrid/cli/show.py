"""How results look: tables and JSON on stdout, notes on stderr."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from macrid.report.shell import MODELS

_WIDEST = 200  # letters of a cell; ids are other people's text, and may be anything


class _Console(Console):
    """One that leaves a reader who went away (``| head``) to the caller."""

    def on_broken_pipe(self) -> None:
        """Not an exit of its own."""
        raise BrokenPipeError


def command() -> str:
    """What to type to run macrid again: its name, or where it lies if it is not on the path."""
    if shutil.which("macrid"):
        return "macrid"
    is_module = Path(sys.argv[0]).name == "__main__.py"
    return "python -m macrid" if is_module else os.path.relpath(sys.argv[0])


def note(line: str) -> None:
    """A line on stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def document(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def table(
    columns: Iterable[str], rows: Iterable[Iterable[Any]], *, title: str | None = None
) -> None:
    """A table on stdout; numbers on the right."""
    rows = [["" if cell is None else cell for cell in row] for row in rows]
    drawn = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        drawn.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*map(_cell, row))
    # Without a terminal to fit into, lines are as long as they need to be (at most a thousand).
    fits = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = _Console(width=None if fits else 1000, highlight=False, markup=False)
    if title is not None:
        console.print(f"\n{title}" if title else "", style="bold")
    console.print(drawn)


def metrics_table(
    model: str,
    measured: Mapping[str, Mapping[str, Any]],
    baselines: Mapping[str, Mapping[str, Any]],
    *,
    title: str,
) -> None:
    """A model above its baselines, each metric with its standard error."""
    names = list(measured)
    rows = []
    for name, metrics in {
        model: measured,
        **{b: m for b, m in baselines.items() if b != model},
    }.items():
        cells = [f"{metrics[n]['mean']:.4f} ± {metrics[n]['se']:.4f}" for n in names]
        rows.append([MODELS.get(name, name), *cells])
    table(["", *names], rows, title=title)


def printable(text: str) -> str:
    """Other people's text without what would move a terminal's cursor.

    Example:
        >>> printable("a title")
        'a title'
    """
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def _cell(value: Any) -> str:
    """A value as a table shows it."""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = printable(str(value))
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"
