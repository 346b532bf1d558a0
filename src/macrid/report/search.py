"""The page about a search: how it went, which settings mattered, what was best.

One HTML file that needs no network, see `macrid.report.shell`.
"""

import math
from itertools import accumulate
from pathlib import Path
from typing import Any

import polars as pl

from macrid.data.files import replace_file
from macrid.evaluation.trials import label
from macrid.evaluation.tune import MONITOR, Tuned
from macrid.report import shell
from macrid.report.tables import html_frame, html_table
from macrid.training.settings import OneOf, Range

PAGE = "report.html"
_SLICES = 6  # settings that are shown one by one
_MARKS = {"complete": (shell.BLUE, "circle"), "pruned": (shell.GREY, "x-thin-open")}
_STYLE = """
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1rem }
.grid > div { min-width: 0; overflow: hidden }
"""


def write_page(tuned: Tuned, folder: Path) -> None:
    """Write ``report.html``.

    Raises:
        MissingExtra: If plotly is not installed.
    """
    replace_file(folder / PAGE, search_page(tuned).encode())


def search_page(tuned: Tuned) -> str:
    """The page as HTML.

    Raises:
        MissingExtra: If plotly is not installed.
    """
    result = tuned.to_dict()
    n_settings = len(result["space"])
    title = f"{result['model']}: a search of {n_settings} setting{'s' * (n_settings > 1)}"
    names = [*tuned.importance, *(name for name in result["space"] if name not in tuned.importance)]
    slices = "".join(_figure(f"slice-{name}", _slice(tuned, name), 300) for name in names[:_SLICES])
    sections = [
        ("What was found", _summary(result) + _settings(result)),
        ("History", _figure("history", _history(tuned), 380) + _HISTORY),
        ("Which settings mattered", _importance(tuned)),
        ("One setting at a time", f'<div class="grid">{slices}</div>'),
        ("All trials", _trials(tuned)),
    ]
    body = "".join(f"<section><h2>{name}</h2>{content}</section>" for name, content in sections)
    return shell.page(title, [body], style=_STYLE)


def _summary(result: dict[str, Any]) -> str:
    """The measures, each with its standard error."""
    rows = [("validation users, the best settings", result["validation"])]
    if result["validation_of_defaults"]:
        rows.append(
            ("validation users, the first trial (defaults)", result["validation_of_defaults"])
        )
    if result["test"]:
        rows.append(("test users, the best settings", result["test"]))
        rows.append(("test users, popularity", result["baselines"]["popularity"]))
    metrics = list(dict.fromkeys(metric for _, measured in rows for metric in measured))
    cells = [
        [name, *(_measure(measured.get(metric)) for metric in metrics)] for name, measured in rows
    ]
    said = (
        f"<p>Trial {result['best_trial']} was the best of {result['trials']} that ended "
        f"({result['pruned']} pruned; {result['failed']} more failed, {result['interrupted']} "
        f"interrupted) in {result['seconds'] / 60:,.1f} minutes of training. Trials were chosen by "
        f"{MONITOR} on the validation users alone. The best of many trials is partly luck: on "
        "other people expect less than its figure here.</p>"
    )
    data = "; ".join(f"{name} {value}" for name, value in result["data"].items())
    parts = [said, *shell.paragraphs([data] * bool(data)), html_table(["", *metrics], cells)]
    return "".join(parts)


def _settings(result: dict[str, Any]) -> str:
    """What was best, and what was tried."""
    chosen = result["settings"] | result["training"]
    space = result["space"]
    rows = [[name, str(value), space.get(name, "fixed")] for name, value in chosen.items()]
    return html_table(["setting", "best", "searched"], rows)


def _history(tuned: Tuned) -> dict[str, Any]:
    """Each trial's value, and the best so far."""
    traces = [_points(tuned, "number", state) for state in _MARKS]
    complete = tuned.trials.filter(state="complete")
    so_far = list(accumulate(complete["value"], max))
    best = {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": [*complete["number"], tuned.trials["number"].max()],
        "y": [*so_far, *so_far[-1:]],
        "line": {"shape": "hv", "color": shell.ORANGE, "width": 2},
    }
    return {"data": [best, *traces], "layout": _layout("trial", MONITOR)}


_HISTORY = (
    "<p>A pruned trial stands where it was when it had fallen behind the median of others at the "
    "same epoch.</p>"
)


def _importance(tuned: Tuned) -> str:
    """Shares as bars, the largest on top."""
    if not tuned.importance:
        return "<p>Too few trials ended to tell.</p>"
    names, shares = zip(*reversed(tuned.importance.items()), strict=True)
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": list(shares),
        "y": list(names),
        "marker": {"color": shell.BLUE},
        "hovertemplate": "%{y}: %{x:.0%}<extra></extra>",
    }
    layout = _layout("share", "")
    layout["xaxis"] |= {"tickformat": ".0%", "rangemode": "tozero"}
    figure = _figure("importance", {"data": [bars], "layout": layout}, 120 + 28 * len(names))
    return figure + (
        "<p>By PED-ANOVA (Watanabe et al., 2023): how differently a setting is spread among the "
        "best completed trials and among all. Of a few dozen trials it is a hint, no more.</p>"
    )


def _slice(tuned: Tuned, name: str) -> dict[str, Any]:
    """Values of the trials by one setting."""
    as_text = isinstance(tuned.search.space[name], OneOf)
    traces = [_points(tuned, name, state, as_text=as_text) for state in _MARKS]
    layout = _layout(name, MONITOR)
    layout["showlegend"] = False
    layout["xaxis"] |= _axis(tuned.search.space[name])
    return {"data": traces, "layout": layout}


def _axis(known: Range) -> dict[str, Any]:
    """How a setting's axis goes."""
    if isinstance(known, OneOf):
        order = [str(label(choice)) for choice in known.choices]
        return {"type": "category", "categoryorder": "array", "categoryarray": order}
    if known.log:
        low, high = math.log10(known.low), math.log10(known.high)
        edge = 0.03 * (high - low) or 0.5
        return {
            "type": "log",
            "range": [low - edge, high + edge],
            "dtick": 1,
            "exponentformat": "power",
        }
    edge = 0.03 * (known.high - known.low) or 0.5
    return {"range": [known.low - edge, known.high + edge]}


def _points(tuned: Tuned, across: str, state: str, *, as_text: bool = False) -> dict[str, Any]:
    """The trials of a state as points."""
    shown = tuned.trials.filter(state=state)
    color, symbol = _MARKS[state]
    x = shown[across].to_list()
    if (low := getattr(tuned.search.space.get(across), "low", None)) and not as_text:
        x = [max(value, low) for value in x]  # a 0 stands where it was drawn
    return {
        "type": "scatter",
        "mode": "markers",
        "name": state,
        "x": [str(value) for value in x] if as_text else x,
        "y": shown["value"].to_list(),
        "text": [f"trial {number}" for number in shown["number"]],
        "marker": {
            "color": color,
            "symbol": symbol,
            "size": 8,
            "line": {"width": 2, "color": color},
        },
        "hovertemplate": f"%{{text}}<br>{across} %{{x}}<br>{MONITOR} %{{y:.4f}}<extra></extra>",
    }


def _layout(x: str, y: str) -> dict[str, Any]:
    """Axes with names."""
    axes = {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}
    return {**axes, "showlegend": bool(y)}


def _figure(name: str, content: dict[str, Any], height: int) -> str:
    """A figure and what draws it."""
    figure = shell.blank().add_traces(content["data"])
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}  # grows upwards
    shell.plain(figure, height=height).update_layout(legend=legend)
    return shell.drawn(figure.update_layout(content["layout"]), name)


def _trials(tuned: Tuned) -> str:
    """A row per trial, folded away."""
    shown = tuned.trials.with_columns(pl.col("value").round(4), pl.col("seconds").round(1))
    return f"<details><summary>{len(shown)} trials</summary>{html_frame(shown)}</details>"


def _measure(measured: dict[str, Any] | None) -> str:
    """A mean and its standard error."""
    return "" if measured is None else f"{measured['mean']:.4f} ± {measured['se']:.4f}"
