"""A sweep as files: a table of all trainings, figures to look at, one to put into a document.

``sweep.csv`` has a row per training, ``sweep.md`` the correlations in words and numbers,
``sweep.svg`` Figure 4 of Ma et al. (2019), and ``sweep.html`` the same figure with what is under
the pointer; it needs no network. Colours go from a small beta (blue) to a large one (orange).
"""

from pathlib import Path
from typing import Any

import polars as pl

from macrid.data.files import replace_file
from macrid.errors import ArtifactError
from macrid.evaluation.sweep import METRIC, Swept
from macrid.report import shell
from macrid.report.picture import RAMP, picture
from macrid.report.tables import html_frame, markdown_table

_SYMBOLS = ("circle", "square", "diamond", "triangle-up")  # by number of concepts, in turn
_AXES = {METRIC: "Recall@20, validation users", "beta": "beta"}


def write_sweep(swept: Swept, folder: str | Path) -> None:
    """Write ``sweep.csv``, ``sweep.md``, ``sweep.svg`` and ``sweep.html`` to a folder.

    Raises:
        MissingExtra: If plotly is not installed; the first three are written by then, and an older
            page is gone.
        ArtifactError: If the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "sweep.csv", swept.cells.write_csv().encode())
        replace_file(folder / "sweep.md", markdown(swept).encode())
        replace_file(folder / "sweep.svg", picture(swept.cells).encode())
        (folder / "sweep.html").unlink(missing_ok=True)
        replace_file(folder / "sweep.html", page(swept).encode())
    except OSError as error:
        raise ArtifactError(f"cannot write to {folder}: {error.strerror}") from error


def correlation_table(swept: Swept) -> pl.DataFrame:
    """Spearman's correlations as text, a row per number of concepts and side.

    Columns are what uncorrelatedness is correlated with.
    """
    told = [
        {
            "concepts": row["n_concepts"],
            "uncorrelatedness of": row["of"],
            "settings": row["n"],
            "with": row["with"],
            "rho": _interval(row),
        }
        for row in swept.correlations.to_dicts()
    ]
    index = ["concepts", "uncorrelatedness of", "settings"]
    return pl.DataFrame(told).pivot("with", index=index, values="rho")


def title(swept: Swept) -> str:
    """What the table's numbers are, in a sentence."""
    about = swept.about
    return (
        "Spearman's rank correlation of uncorrelatedness with settings and recall, and its "
        f"{about['level']:.0%} interval ({about['resamples']:,} bootstrap resamples of settings)"
    )


def conditions(swept: Swept) -> list[str]:
    """How it came about, in sentences."""
    about, cells = swept.about, swept.cells
    sizes = cells.unique(["n_concepts", "n_dims"], maintain_order=True)
    models = " and ".join(
        f"K = {row['n_concepts']} (d = {row['n_dims']})" for row in sizes.to_dicts()
    )
    fixed = ", ".join(f"{name} {value}" for name, value in about["fixed"].items())
    return [
        f"MacridVAE with {models}; beta from {about['beta']}, prior_std from {about['prior_std']}, "
        f"seed {about['seed']}; {about['epochs']} epochs, the last one is measured"
        + (f"; {fixed}" if fixed else ""),
        f"{about['training_users']:,} training users, {about['items']:,} items; recall is of "
        f"{about['validation_users']:,} validation users, the correlations between dimensions of "
        "all items and of the training users",
        *(f"failed: {sentence}" for sentence in swept.failed),
    ]


def markdown(swept: Swept) -> str:
    """The figure, the correlations, the trainings, and how they came about."""
    parts = ["# Uncorrelatedness and recall", "", "![](sweep.svg)", "", f"{title(swept)}.", ""]
    parts += markdown_table(correlation_table(swept))
    parts += ["", *(f"- {line}" for line in conditions(swept)), "", "## Trainings", ""]
    return "\n".join([*parts, *markdown_table(_trainings(swept)), ""])


def page(swept: Swept) -> str:
    """One HTML file with the table and four figures.

    Raises:
        MissingExtra: If plotly is not installed.
    """
    figures = [
        f"<h2>Uncorrelatedness of {of} against {name}</h2>{_drawn(swept, of, across)}"
        for across, name in ((METRIC, "recall"), ("beta", "beta"))
        for of in ("items", "people")
    ]
    folded = f"<details><summary>All trainings</summary>{html_frame(_trainings(swept))}</details>"
    body = [
        *shell.paragraphs([f"{title(swept)}."]),
        html_frame(correlation_table(swept)),
        *figures,
        "<h2>Conditions</h2>",
        *shell.paragraphs(conditions(swept)),
        folded,
    ]
    return shell.page("Uncorrelatedness and recall", body)


def _drawn(swept: Swept, of: str, across: str) -> str:
    """A figure by plotly: a dot per training, coloured by beta, shaped by number of concepts."""
    figure = shell.blank()
    powers = swept.cells["beta"].log10()
    least, most = float(powers.min()), float(powers.max())  # pyright: ignore[reportArgumentType]
    ticks = [least, (least + most) / 2, most]
    for symbol, n_concepts in zip(_cycle(swept), _concepts(swept), strict=True):
        some = swept.cells.filter(pl.col("n_concepts") == n_concepts).drop_nulls(of)
        figure.add_scatter(
            x=some[across].to_list(),
            y=some[of].to_list(),
            name=f"K = {n_concepts}",
            mode="markers",
            text=[f"beta {b:g}, prior_std {s:g}" for b, s in some["beta", "prior_std"].rows()],
            hovertemplate=f"{across} %{{x:.4g}}, uncorrelatedness %{{y:.4f}}<br>%{{text}}",
            marker={
                "size": 10,
                "symbol": symbol,
                "color": some["beta"].log10().to_list(),
                "colorscale": [[end, f"rgb{colour}"] for end, colour in enumerate(RAMP)],
                "cmin": least,
                "cmax": most,
                "showscale": across != "beta",
                "colorbar": {
                    "title": {"text": "beta"},
                    "tickvals": ticks,
                    "ticktext": [f"{10**power:.2g}" for power in ticks],
                    "thickness": 12,
                },
            },
        )
    shell.plain(figure, height=400).update_layout(
        showlegend=len(_concepts(swept)) > 1,
        legend={"orientation": "h", "y": 1.1},
        margin={"r": 10, "t": 30, "b": 50},
    )
    kind = "log" if across == "beta" else "linear"
    figure.update_xaxes(title={"text": _AXES[across]}, type=kind, nticks=6)
    figure.update_yaxes(title={"text": "uncorrelatedness"})
    return shell.drawn(figure, f"{of}-{across.partition('@')[0]}")


def _concepts(swept: Swept) -> list[int]:
    """Numbers of concepts, as they were asked for."""
    return swept.cells["n_concepts"].unique(maintain_order=True).to_list()


def _cycle(swept: Swept) -> list[str]:
    """A symbol for each."""
    return [_SYMBOLS[n % len(_SYMBOLS)] for n in range(len(_concepts(swept)))]


def _trainings(swept: Swept) -> pl.DataFrame:
    """Every training as text."""
    return swept.cells.select(
        pl.col(pl.Float64).round(4), *(n for n in swept.cells.columns if n.startswith("n_"))
    ).select(name for name in swept.cells.columns if name not in ("setting", "constant_dims"))


def _interval(row: dict[str, Any]) -> str:
    """A correlation with its ends."""
    if row["rho"] is None:
        return "–"
    if row["low"] is None:
        return f"{row['rho']:+.2f}"
    return f"{row['rho']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})"
