"""Figures of a comparison, by plotly; the page gives them their colours of text and grid."""

import math
import textwrap
from html import escape
from typing import Any

import numpy as np

from macrid.evaluation.comparison import Comparison
from macrid.report import shell

Z95 = 1.96  # standard errors
_SMALL = 300  # pixels of a telephone's figure without its axes
_Box = tuple[float, float, float, float]  # left, low, right, high


def metric_figure(comparison: Comparison, name: str) -> Any:
    """Means with intervals, and the seeds as dots."""
    models = comparison.models.drop_nulls(comparison.metric)
    models = models.sort(comparison.metric, descending=True, maintain_order=True)
    labels = models["label"].to_list()
    seeds = [cell for cell in comparison.cells if comparison.n_seeds > 1]
    figure = shell.blank()
    figure.add_scatter(
        x=[cell["metrics"][name] for cell in seeds],
        y=[labels.index(cell["label"]) + 0.25 for cell in seeds],  # under their mean
        mode="markers",
        marker={"size": 7, "color": shell.GREY},
        text=[f"seed {cell['seed']}" for cell in seeds],
        hovertemplate="%{x:.4f}, %{text}<extra></extra>",
    )
    figure.add_scatter(
        x=models[name].to_list(),
        y=list(range(len(labels))),
        error_x=_within_bounds(models[name].to_numpy(), models[f"{name}_se"].to_numpy() * Z95),
        mode="markers",
        marker={"size": 12, "color": shell.BLUE},
        customdata=(models[f"{name}_se"] * Z95).to_list(),
        hovertemplate="%{x:.4f} ± %{customdata:.4f}<extra></extra>",
    )
    return rows_of(figure, labels)


def _within_bounds(means: np.ndarray, reach: np.ndarray) -> dict[str, Any]:
    """Intervals that end where a measure does, at 0 and 1."""
    return {
        "array": np.minimum(reach, 1 - means).tolist(),
        "arrayminus": np.minimum(reach, means).tolist(),
        "thickness": 2,
        "width": 5,
    }


def difference_figure(comparison: Comparison) -> Any:
    """A forest plot: each model's difference from the best, with its interval."""
    rows = comparison.against_best()
    middle, low, high = (rows[name] for name in ("difference", "low", "high"))
    beyond = ((low > 0) | (high < 0)).to_list()
    figure = shell.blank()
    figure.add_scatter(
        x=middle.to_list(),
        y=list(range(len(rows))),
        error_x={
            "array": (high - middle).to_list(),
            "arrayminus": (middle - low).to_list(),
            "thickness": 2,
            "width": 5,
        },
        mode="markers",
        marker={
            "size": 12,
            "color": shell.BLUE,
            "symbol": ["circle" if one else "circle-open" for one in beyond],
            "line": {"width": 2, "color": shell.BLUE},
        },
        hovertemplate="%{x:+.4f}<extra></extra>",
    )
    figure.add_vline(0, line={"color": shell.GREY, "dash": "dash", "width": 2})
    return rows_of(figure, rows["label"].to_list())


def cost_figure(comparison: Comparison) -> Any:
    """Accuracy against seconds of training."""
    models = comparison.models.drop_nulls(comparison.metric).sort("seconds")
    seconds = models["seconds"].clip(lower_bound=0.001).to_list()
    values, names = models[comparison.metric].to_list(), list(map(_broken, models["label"]))
    powers = [math.log10(value) for value in seconds]
    margin = 0.4 + 0.12 * (powers[-1] - powers[0])
    reach = (powers[0] - margin, powers[-1] + margin)
    figure = shell.blank()
    figure.add_scatter(
        x=seconds,
        y=values,
        text=names,
        textposition=_sides(_scaled(powers, reach), _scaled(values, _range(values)), names),
        mode="markers+text",
        marker={"size": 12, "color": shell.BLUE},
        hovertemplate="%{y:.4f} after %{x:,.1f} s<extra></extra>",
        cliponaxis=False,
    )
    shell.plain(figure, height=380)
    title = {"text": "seconds of training", "font": {"size": 14}}
    figure.update_xaxes(type="log", range=reach, dtick=1, tickformat="~g", title=title)
    return figure.update_yaxes(range=_range(values))


def _range(values: list[float]) -> tuple[float, float]:
    """From below the least to above the greatest value, with room for a name."""
    room = 0.2 * (max(values) - min(values)) or 0.1
    return min(values) - room, max(values) + room


def _scaled(values: list[float], reach: tuple[float, float]) -> list[float]:
    """Places in a figure as small as a telephone's, in pixels."""
    return [_SMALL * (value - reach[0]) / (reach[1] - reach[0]) for value in values]


def _sides(across: list[float], up: list[float], names: list[str]) -> list[str]:
    """Where each name stands beside its dot: where it covers least of dots and earlier names."""
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in zip(across, up, strict=True)]
    sides = []
    for x, y, name in zip(across, up, names, strict=True):
        lines = name.split("<br>")
        wide, high = 8 * max(map(len, lines)), 18 * len(lines)
        middle, level = x - wide / 2, y - high / 2
        corners = {
            "top center": (middle, y + 8),
            "bottom center": (middle, y - 8 - high),
            "middle right": (x + 8, level),
            "middle left": (x - 8 - wide, level),
        }
        boxes = {side: (a, b, a + wide, b + high) for side, (a, b) in corners.items()}
        best = min(boxes, key=lambda side: _covered(boxes[side], taken))
        taken.append(boxes[best])
        sides.append(best)
    return sides


def _covered(box: _Box, others: list[_Box]) -> float:
    """How much of other boxes, and of what lies outside the figure, a box lies on."""
    left, low, right, high = box
    area = sum(
        max(0.0, min(right, r) - max(left, x)) * max(0.0, min(high, h) - max(low, y))
        for x, y, r, h in others
    )
    return area + 20 * (max(0.0, -left) + max(0.0, right - _SMALL))


def rows_of(figure: Any, labels: list[str]) -> Any:
    """A figure with a row per model, the first on top."""
    shell.plain(figure, height=70 + 44 * len(labels)).update_traces(error_x_color=shell.BLUE)
    return figure.update_yaxes(
        tickvals=list(range(len(labels))),
        ticktext=[_broken(label) for label in labels],
        range=[len(labels) - 0.5, -0.5],
        showgrid=False,
    )


def _broken(label: str) -> str:
    """A label for a figure, on several lines if it is long."""
    # Plotly knows tags, and no quotes that are escaped.
    return "<br>".join(escape(one, quote=False) for one in textwrap.wrap(label, 16) or [label])
