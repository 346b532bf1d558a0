"""A comparison as files: JSON for machines, Markdown for notes, one page with figures for people.

The page is one column, for telephones too; see `macrid.report.shell`.
"""

import json
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from macrid.data.files import replace_file
from macrid.errors import ArtifactError
from macrid.evaluation.comparison import Comparison
from macrid.report import shell
from macrid.report.figures import cost_figure, difference_figure, metric_figure
from macrid.report.tables import html_frame, markdown_table, markdown_text


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


BEYOND = "Beside accuracy, lists of 20: means over seeds"


def table_title(comparison: Comparison) -> str:
    """What the numbers of the table are, in a sentence."""
    about = comparison.about
    sentence = f"{about['users']:,} test users: mean ± standard error over users"
    n_seeds = comparison.n_seeds
    return f"{sentence} (over {n_seeds} seeds)" if n_seeds > 1 else sentence


def differences_title(comparison: Comparison) -> str:
    """What the differences, intervals and p-values are, in a sentence."""
    level, n_pairs = f"{comparison.about['level']:.0%} confidence", len(comparison.differences)
    what = f"{words(comparison.metric)} on the same users"
    if comparison.n_seeds > 1:
        what += ", each one's mean over seeds"
    if n_pairs == 1:
        return (
            f"Difference of {what}; the interval holds with {level} (bootstrap of users), the "
            "p-value is of a sign-flip test"
        )
    return (
        f"Differences of {what}; all {n_pairs} intervals hold at once with {level} (bootstrap of "
        "users, Bonferroni), p-values are of a sign-flip test (Holm)"
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
    parts += markdown_table(comparison.table())
    if comparison.beyond:
        parts += ["", f"{BEYOND}.", "", *markdown_table(comparison.beyond_table())]
    if remarks := comparison.remarks():
        parts += ["", *(f"- {markdown_text(sentence)}" for sentence in remarks)]
    if len(comparison.differences):
        parts += ["", "## Differences between models", "", f"{differences_title(comparison)}.", ""]
        parts += markdown_table(_all_pairs(comparison))
    parts += [
        "",
        "## Conditions",
        "",
        *(f"- {markdown_text(line)}" for line in _conditions(comparison)),
    ]
    return "\n".join(parts) + "\n"


def page(comparison: Comparison) -> str:
    """One HTML file with the tables and three kinds of figures.

    Raises:
        MissingExtra: If plotly is not installed.
    """
    body = [
        *shell.paragraphs([f"{table_title(comparison)}."]),
        html_frame(comparison.table()),
    ]
    if comparison.beyond:
        body += [*shell.paragraphs([f"{BEYOND}."]), html_frame(comparison.beyond_table())]
    body += shell.paragraphs(comparison.remarks())
    dots = "The dot is the mean, the line its 95% interval over users."
    if comparison.n_seeds > 1:
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
            html_frame(_all_pairs(comparison)),
            "</details>",
        ]
    known, *settings = _conditions(comparison)
    body += ["<h2>Conditions</h2>", *shell.paragraphs([known])]
    body += ["<details><summary>Seeds, and all settings of each model</summary>"]
    body += [*shell.paragraphs(settings), "</details>"]
    return shell.page("Models compared", body)


def _section(title: str, sentence: str, figure: Any) -> list[str]:
    """A heading, a sentence and a figure."""
    name = "".join(letter if letter.isalnum() else "-" for letter in title)
    return [
        f"<h2>{escape(title)}</h2>",
        *shell.paragraphs([sentence]),
        shell.drawn(figure, name),
    ]


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
    source = "".join(f"{name} {value}; " for name, value in about.get("source", {}).items())
    lines = [
        f"{source}macrid {about['macrid']}; {data['training_users']:,} training users, "
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
            known = {name: value for name, value in chosen.items() if value is not None}
            shown = ", ".join(f"{name} {value}" for name, value in known.items())
            lines.append(f"{cell['label']}: {shown or 'no settings'}")
    return lines
