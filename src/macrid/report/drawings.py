"""Figures of a model's report, by plotly: accuracy, training, shares."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from macrid.control.concepts import Concepts
from macrid.report import shell
from macrid.report.figures import Z95, rows_of
from macrid.report.palette import colours


def accuracy_figure(models: dict[str, dict[str, Any]], metric: str) -> Any:
    """A dot per model and its 95% interval; the first is the one the report is about."""
    measured = {name: some[metric] for name, some in models.items() if metric in some}
    figure = shell.blank()
    figure.add_scatter(
        x=[one["mean"] for one in measured.values()],
        y=list(range(len(measured))),
        error_x={
            "array": [Z95 * one["se"] for one in measured.values()],
            "thickness": 2,
            "width": 5,
        },
        mode="markers",
        hovertemplate="%{x:.4f} ± %{error_x.array:.4f}<extra></extra>",
    )
    hues = [shell.BLUE, *[shell.GREY] * (len(measured) - 1)]
    rows_of(figure, list(measured))
    return figure.update_traces(marker={"size": 12, "color": hues}, error_x_color=shell.GREY)


def curve(log: pl.DataFrame, column: str, best: int | None = None) -> Any:
    """A column of the training log by epoch, the kept epoch marked."""
    figure = shell.blank()
    figure.add_scatter(
        x=log["epoch"].to_list(),
        y=log[column].to_list(),
        mode="lines" if len(log) > 1 else "markers",
        line={"color": shell.BLUE, "width": 2},
        hovertemplate="epoch %{x}: %{y:.5g}<extra></extra>",
    )
    kept = log.filter(epoch=best) if best else log.head(0)
    figure.add_scatter(
        x=kept["epoch"].to_list(),
        y=kept[column].to_list(),
        mode="markers",
        marker={"size": 10, "color": shell.ORANGE},
        hovertemplate="the epoch that was kept, %{x}: %{y:.5g}<extra></extra>",
    )
    shell.plain(figure, height=240)
    return figure.update_xaxes(title={"text": "epoch"}, showgrid=False)


def share_figure(found: Concepts, names: Sequence[str]) -> Any:
    """Shares of items and of events of each concept, beside what equal shares would be."""
    figure, table = shell.blank(), found.concepts
    for name, column, opacity in (("items", "item_share", 1.0), ("events", "event_share", 0.45)):
        figure.add_bar(
            y=list(range(len(names))),
            x=table[column].to_list(),
            orientation="h",
            name=f"share of {name}",
            marker={"color": colours(len(names)), "opacity": opacity},
            hovertemplate=f"%{{x:.1%}} of the {name}<extra></extra>",
        )
    figure.add_vline(1 / len(names), line={"color": shell.GREY, "dash": "dash", "width": 2})
    rows_of(figure, list(names))
    figure.update_layout(barmode="group", bargap=0.25, height=70 + 44 * len(names))
    return figure.update_xaxes(tickformat=".0%", rangemode="tozero")
