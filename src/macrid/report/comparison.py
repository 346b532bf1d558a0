"""A comparison as files: JSON for machines, Markdown for notes, one page with figures for people.

The page is a single file that needs no network: plotly's script is inside, colours follow the
reader's light or dark scheme, and everything stands in one column, for telephones too.
"""

import json
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from macrid.data.files import replace_file
from macrid.errors import ArtifactError, MissingExtra
from macrid.evaluation.comparison import Comparison
from macrid.report.figures import cost_figure, difference_figure, metric_figure

_CONFIG = {"displayModeBar": False, "responsive": True}
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1f24; --soft: #565d68; --paper: #fff; --line: #dfe3e8 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --soft: #a7aeb9; --paper: #15181c; --line: #343a43 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 54rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem; margin: .5rem 0 }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .3rem }
p { margin: .3rem 0; color: var(--soft); overflow-wrap: anywhere }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { padding: .35rem .9rem .35rem 0; text-align: left; white-space: nowrap;
  border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--paper);
  white-space: normal; min-width: 7rem }
summary { cursor: pointer; margin: 1rem 0 }
.js-plotly-plot text { fill: var(--ink) !important }
.js-plotly-plot .hoverlayer text { fill: #fff !important }
.js-plotly-plot .gridlayer path { stroke: var(--line) !important }
"""


def write_report(comparison: Comparison, folder: str | Path) -> None:
    """Write ``comparison.json``, ``comparison.md`` and ``comparison.html`` to a folder.

    Raises:
        MissingExtra: If plotly is not installed; the first two are written by then, and a page of
            an older comparison is gone.
        ArtifactError: If the folder cannot be written.
    """
    folder = Path(folder)
    content = json.dumps(comparison.to_dict(), ensure_ascii=False, indent=2)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "comparison.json", content.encode())
        replace_file(folder / "comparison.md", markdown(comparison).encode())
        (folder / "comparison.html").unlink(missing_ok=True)
        replace_file(folder / "comparison.html", page(comparison).encode())
    except OSError as error:
        raise ArtifactError(f"cannot write to {folder}: {error.strerror}") from error


def table_title(comparison: Comparison) -> str:
    """What the numbers of the table are, in a sentence."""
    about = comparison.about
    sentence = f"{about['users']:,} test users: mean ± standard error over users"
    n_seeds = len(about["seeds"])
    return sentence if n_seeds == 1 else f"{sentence} (standard deviation over {n_seeds} seeds)"


def differences_title(comparison: Comparison) -> str:
    """What the differences, intervals and p-values are, in a sentence."""
    about, n_pairs = comparison.about, len(comparison.differences)
    return (
        f"Differences of {words(comparison.metric)} on the same users; all {n_pairs} intervals "
        f"hold at once with {about['level']:.0%} confidence (bootstrap of users, Bonferroni), "
        "p-values are of a sign-flip test (Holm)"
    )


def words(metric: str) -> str:
    """A metric as a title has it.

    Example:
        >>> words("ndcg@100"), words("recall@20")
        ('NDCG@100', 'Recall@20')
    """
    kind, at, k = metric.partition("@")
    return (kind.upper() if kind == "ndcg" else kind.capitalize()) + at + k


def markdown(comparison: Comparison) -> str:
    """The tables, and how they came about."""
    parts = ["# Models compared", "", f"{table_title(comparison)}.", ""]
    parts += _markdown_table(comparison.table())
    if failures := comparison.failures():
        parts += ["", *(f"- {_cell(sentence)}" for sentence in failures)]
    if len(comparison.differences):
        parts += ["", "## Differences between models", "", f"{differences_title(comparison)}.", ""]
        parts += _markdown_table(_all_pairs(comparison))
    parts += ["", "## Conditions", "", *(f"- {line}" for line in _conditions(comparison))]
    return "\n".join(parts) + "\n"


def page(comparison: Comparison) -> str:
    """One HTML file with the tables and three kinds of figures.

    Raises:
        MissingExtra: If plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingExtra("plotly", "viz") from error
    body = [
        "<h1>Models compared</h1>",
        f"<p>{escape(table_title(comparison))}.</p>",
        _html_table(comparison.table()),
        *(f"<p>{escape(sentence)}</p>" for sentence in comparison.failures()),
    ]
    dots = "The dot is the mean, the line its 95% interval over users."
    if len(comparison.about["seeds"]) > 1:
        dots += " The small dots are the seeds."
    for name in comparison.metrics:
        body += _section(
            f"{words(name)} on the test users",
            dots,
            metric_figure(comparison, name),
        )
    body += _section(
        f"{words(comparison.metric)} against seconds of training",
        "Up is better, left is sooner: the median over seeds, on a scale of powers of ten.",
        cost_figure(comparison),
    )
    if len(comparison.differences):
        body += _section(
            f"{words(comparison.metric)} of each model less that of {comparison.best}",
            f"{differences_title(comparison)}. An interval that does not reach 0 (filled dot) is "
            "a difference beyond chance.",
            difference_figure(comparison),
        )
        body += [
            f"<details><summary>All {len(comparison.differences)} pairs</summary>",
            _html_table(_all_pairs(comparison)),
            "</details>",
        ]
    body += ["<h2>Conditions</h2>", *(f"<p>{escape(c)}</p>" for c in _conditions(comparison))]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Models compared</title>\n<style>{_STYLE}</style>",
            f"<script>{get_plotlyjs()}</script>\n</head>\n<body>",
            *body,
            "</body>\n</html>\n",
        ]
    )


def _section(title: str, sentence: str, figure: Any) -> list[str]:
    """A heading, a sentence and a figure."""
    name = "".join(letter if letter.isalnum() else "-" for letter in title)
    drawn = figure.to_html(
        full_html=False, include_plotlyjs=False, config=_CONFIG, div_id=escape(name)
    )
    return [f"<h2>{escape(title)}</h2>", f"<p>{escape(sentence)}</p>", drawn]


def _all_pairs(comparison: Comparison) -> pl.DataFrame:
    """Every pair as text."""
    return pl.DataFrame(
        [
            {
                "first": row["first"],
                "second": row["second"],
                "first less second": f"{row['difference']:+.4f}",
                "interval": f"{row['low']:+.4f} to {row['high']:+.4f}",
                "p": f"{row['p']:.4f}",
                "p, Holm": f"{row['p_holm']:.4f}",
            }
            for row in comparison.differences.to_dicts()
        ]
    )


def _conditions(comparison: Comparison) -> list[str]:
    """How it came about: data, seeds, resampling, settings of each model."""
    about = comparison.about
    data = about["data"]
    lines = [
        f"macrid {about['macrid']}; {data['training_users']:,} training users, "
        f"{data['items']:,} items, {data['events']:,} events; epochs chosen on "
        f"{data['validation_users']:,} validation users",
        f"seeds {', '.join(map(str, about['seeds']))}; {about['resamples']:,} resamples of users "
        "and of signs",
    ]
    described = set()
    for cell in comparison.cells:
        if cell["label"] not in described:
            described.add(cell["label"])
            chosen = {**cell["settings"], **cell["training"]}
            chosen.pop("seed", None)
            shown = ", ".join(f"{name} {value}" for name, value in chosen.items())
            lines.append(f"{cell['label']}: {shown or 'no settings'}")
    return lines


def _markdown_table(table: pl.DataFrame) -> list[str]:
    """A frame of text."""
    rows = [table.columns, ["---"] * table.width, *table.rows()]
    return [f"| {' | '.join(map(_cell, row))} |" for row in rows]


def _cell(text: str) -> str:
    """Text that cannot break a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _html_table(table: pl.DataFrame) -> str:
    """A frame of text."""
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in table.rows()]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    drawn = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{drawn}</div>'
