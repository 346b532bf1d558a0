"""A trained model as one page that works offline: how good it is, what it found, how it looks.

Each figure stands beside a sentence that says what is seen and how it was computed, and beside its
numbers. `macrid.report.findings` has the numbers.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from macrid.data.files import replace_file
from macrid.errors import ArtifactError, DataError, MissingExtra
from macrid.report import shell
from macrid.report.chapters import agreement, cards, collapse, strips
from macrid.report.comparison import words
from macrid.report.drawings import accuracy_figure, curve
from macrid.report.figures import Z95
from macrid.report.findings import Findings
from macrid.report.plates import heat_plate, map_plate
from macrid.report.scripts import STYLE, scripts
from macrid.report.tables import html_table

_CURVES = {
    "ndcg@100": "NDCG@100 of the validation users",
    "loss": "Loss per user (nats)",
    "kl": "KL divergence per user (nats)",
}
Source = Mapping[str, Any]


def need_extra() -> None:
    """Make sure that figures and projections can be made, before any work is done.

    Raises:
        MissingExtra: If plotly or openTSNE is not installed.
    """
    for package in ("plotly", "openTSNE"):
        if find_spec(package) is None:
            raise MissingExtra(package, "viz")


def check_out(out: Path, *, overwrite: bool = False) -> None:
    """Make sure that a page may be written, before any work is done.

    Raises:
        DataError: If there is something already.
        ArtifactError: If nothing can be written there.
    """
    if out.is_dir():
        raise DataError(f"{out} is a folder; name the file, as in --out {out / 'report.html'}")
    if out.exists() and not overwrite:
        raise DataError(f"{out} is there already; write to another file, or add --overwrite")
    place = next(folder for folder in out.absolute().parents if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise ArtifactError(f"cannot write to {out}: {place} is no folder that can be written")


def write_model_report(found: Findings, out: Path, about: Source | None = None) -> None:
    """Write the page in one step, its folder too if there is none.

    Raises:
        MissingExtra: If plotly is not installed.
        ArtifactError: If the file cannot be written.
    """
    content = model_page(found, about).encode()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        replace_file(out, content)
    except OSError as error:
        raise ArtifactError(f"cannot write to {out}: {error.strerror}") from error


def model_page(found: Findings, about: Source | None = None) -> str:
    """The page as HTML.

    Args:
        found: What is shown.
        about: More of where it comes from, by name: the folder, the data, how they were read.

    Raises:
        MissingExtra: If plotly is not installed.
    """
    name = shell.MODELS.get(found.model.name, found.model.name)
    chapters = {
        "Accuracy": _accuracy(found),
        "Training": _training(found),
        "Concepts": cards(found),
        "Shares": collapse(found),
        "Labels": agreement(found),
        "Map": map_plate(found),
        "Dials": strips(found),
        "Correlations": heat_plate(found),
        "Settings": _settings(found, about or {}),
    }
    told = {title: chapter for title, chapter in chapters.items() if chapter}
    links = "".join(f'<a href="#about-{title.lower()}">{title}</a>' for title in told)
    body = [*_head(found), f"<nav>{links}</nav>"]
    for title, chapter in told.items():
        body += [f'<section id="about-{title.lower()}">', *chapter, "</section>"]
    drawn = {"has_map": found.atlas is not None, "has_heat": bool(found.correlations)}
    return shell.page(f"{name}: a report", body, style=STYLE, script=scripts(**drawn))


def _head(found: Findings) -> list[str]:
    """What it is, and its key figures."""
    model, known = found.model, found.model.training
    said = (type(model).__doc__ or "").strip().splitlines()[0].rstrip(".")
    tiles = [
        *(
            (f"{one['mean']:.4f}", f"{words(metric)}, ± {Z95 * one['se']:.4f}")
            for metric, one in list(found.accuracy.models[model.name].items())[:1]
        ),
        (f"{len(model.items):,}", "items"),
        (f"{known.get('users', 0):,}", "people in training"),
        (f"{known.get('events', 0):,}", "events of theirs"),
    ]
    if found.concepts is not None:
        tiles.append((str(len(found.concepts.concepts)), "concepts"))
        tiles.append((f"{found.concepts.largest_share:.1%}", "of the items in the largest"))
    if found.alignment is not None and found.label is not None:
        tiles.append((f"{found.alignment.nmi:.2f}", f"NMI of concepts and {found.label.name}"))
    if found.correlations and found.correlations[0].uncorrelatedness is not None:
        value = found.correlations[0].uncorrelatedness
        tiles.append((f"{value:.3f}", "uncorrelatedness of items"))
    drawn = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(text)}</span></div>'
        for value, text in tiles
    )
    today = datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0")
    lines = [f"{said}. Trained with macrid; this report was written on {today}."]
    if found.concepts is None:
        name = shell.MODELS.get(model.name, model.name)
        lines.append(f"{name} has no concepts: cards, shares and walks along dials are left out.")
        if not found.correlations:
            lines.append("It has no vectors either: there is no map, and nothing to correlate.")
    return [*shell.paragraphs(lines), f'<div class="tiles">{drawn}</div>']


def _accuracy(found: Findings) -> list[str]:
    """Figures and a table, the model first."""
    models = {shell.MODELS.get(name, name): some for name, some in found.accuracy.models.items()}
    metrics = list(next(iter(models.values())))
    rows = [
        [name, *(_interval(some.get(metric)) for metric in metrics)]
        for name, some in models.items()
    ]
    lines = [
        f"The lists of {'; '.join(found.accuracy.people)}. Part of each one's history is shown to "
        "the model, the rest is what it should list. A mean over people and its 95% interval "
        "(1.96 standard errors); the dot is the mean, the line the interval.",
    ]
    if len(models) > 1:
        lines.append(
            "The same people are measured by all, so a difference can be beyond chance even where "
            "intervals overlap: macrid compare tells."
        )
    figures = "".join(
        f"<div><h3>{escape(words(metric))}</h3>"
        f"{shell.drawn(accuracy_figure(models, metric), f'accuracy-{n}')}</div>"
        for n, metric in enumerate(metrics)
    )
    return [
        "<h2>How good its lists are</h2>",
        *shell.paragraphs(lines),
        f'<div class="curves">{figures}</div>',
        html_table(["", *map(words, metrics)], rows),
    ]


def _interval(measured: dict[str, Any] | None) -> str | None:
    """A mean and the ends of its interval."""
    if measured is None:
        return None
    reach = Z95 * measured["se"]
    low, high = measured["mean"] - reach, measured["mean"] + reach
    return f"{measured['mean']:.4f} ({low:.4f} to {high:.4f})"


def _training(found: Findings) -> list[str]:
    """Curves of the log, and the first, the kept and the last epoch in numbers."""
    title, log, known = "<h2>Training</h2>", found.log, found.model.training
    if log is None:
        why = "This model is not trained in epochs, so there are no curves."
        if found.model.in_epochs:
            why = "There is no log of its epochs, which macrid train keeps in the model's folder."
        said = f"{why} Training took {known.get('seconds', 0):,.1f} seconds."
        return [title, *shell.paragraphs([said])]
    best = known.get("best_epoch")
    figures = "".join(
        f"<div><h3>{text}</h3>{shell.drawn(curve(log, column, best), f'curve-{n}')}</div>"
        for n, (column, text) in enumerate(_CURVES.items())
        if column in log.columns
    )
    told = dict.fromkeys(e for e in (1, best, int(log["epoch"][-1])) if e)
    columns = [name for name in log.columns if name != "seconds"]
    rows = log.filter(log["epoch"].is_in(list(told))).select(columns).rows()
    cells = [[value if isinstance(value, int) else f"{value:.4f}" for value in row] for row in rows]
    sentence = (
        f"{len(log)} epochs in {log['seconds'].sum():,.0f} seconds"
        + (f"; epoch {best} was kept (orange)" if best else "")
        + ". After each, NDCG@100 is measured on the validation users, who choose the epoch; loss "
        "and KL divergence are means over the training users, KL weighed by beta in the loss."
    )
    return [
        title,
        *shell.paragraphs([sentence]),
        f'<div class="curves">{figures}</div>',
        html_table(columns, cells),
    ]


def _settings(found: Findings, about: Source) -> list[str]:
    """Settings of model and training, the data's fingerprint, versions."""
    model = found.model
    training = {name: value for name, value in model.training.items() if name != "read"}
    read = {f"read: {name}": value for name, value in model.training.get("read", {}).items()}
    used = {name: version(name) for name in ("macrid", "torch", "polars", "plotly")}
    if found.atlas is not None:
        used["openTSNE"] = version("openTSNE")
    parts = {
        "Settings of the model": model.get_params(),
        "Training and data (data is the fingerprint of the training events)": training | read,
        "This report": {**about, **used},
    }
    drawn = ["<h2>Settings and data</h2>"]
    for title, values in parts.items():
        rows = [[name, value] for name, value in values.items() if value not in (None, {})]
        drawn += [*shell.paragraphs([f"{title}:"]), html_table(["name", "value"], rows)]
    return drawn
