"""The two figures that are looked at from several sides: the map, and correlations of dimensions.

A plate is HTML with buttons and the figure's data as JSON; `macrid.report.scripts` draws it.
"""

from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from macrid.report import shell
from macrid.report.findings import Correlations, Findings, called
from macrid.report.palette import colours
from macrid.report.projection import PERPLEXITY, Atlas
from macrid.report.scripts import data_script
from macrid.report.tables import html_table

_LABELS = 12  # that have a colour of their own, the commonest


def map_plate(found: Findings) -> list[str]:
    """Items and people's components on a plane."""
    atlas = found.atlas
    if atlas is None:
        return []
    known, groups = _labels(found)
    content = {
        "items": _places(atlas.item_places)
        | {
            "title": [found.titles[row] for row in atlas.items],
            "concept": _item_concepts(found)[atlas.items].tolist(),
            "label": known[atlas.items].tolist(),
        },
        "people": _places(atlas.user_places)
        | {
            "title": _people(found, atlas),
            "concept": atlas.concepts.tolist(),
            "label": [-1] * len(atlas.users),
        },
        "concepts": _groups(_names(found)),
        "labels": groups,
        "views": _views(found),
    }
    return [
        "<h2>The map</h2>",
        *shell.paragraphs(_said(found, atlas)),
        '<div class="chips" id="map-views"></div><div class="plot" id="map"></div>'
        '<div class="chips" id="map-legend"></div>',
        data_script("map-data", content),
    ]


def heat_plate(found: Findings) -> list[str]:
    """A heat map for items and for each concept's people, and uncorrelatedness in a table."""
    if not found.correlations:
        return []
    content = [
        {
            "of": one.of,
            "dims": one.dims,
            "z": [[_hundredth(value) for value in row] for row in one.matrix.tolist()],
            "most": most_shown(one.matrix),
            "said": _told(one),
        }
        for one in found.correlations
    ]
    rows = [[one.of, f"{one.n_rows:,}", _value(one.uncorrelatedness)] for one in found.correlations]
    people = [one.uncorrelatedness for one in found.correlations[1:]]
    values = [value for value in people if value is not None]
    if values:
        rows.append(["people, mean of the concepts", "", _value(sum(values) / len(values))])
    said = (
        "Pearson's correlation of each pair of dimensions: of items over the unit vectors that the "
        "decoder compares, of people over their mean in one concept. Uncorrelatedness is 1 − the "
        "mean size of all pairs' correlations (Ma et al., 2019, §3.4): 1 where no two go together. "
        "Of n independent rows chance alone leaves sizes of about √(2 / πn)."
    )
    return [
        "<h2>Correlations between dimensions</h2>",
        *shell.paragraphs([said]),
        '<div class="chips" id="heat-views"></div><p id="heat-said"></p>'
        '<div class="plot" id="heat"></div>',
        data_script("heat-data", content),
        html_table(["dimensions of", "rows", "uncorrelatedness"], rows),
    ]


def most_shown(matrix: Float[np.ndarray, "dim dim"]) -> float:
    """Where the colours end: 99 in 100 correlations are no larger.

    Example:
        >>> most_shown(np.full((2, 2), 0.25)), most_shown(np.full((2, 2), np.nan))
        (0.25, 1.0)
    """
    sizes = np.abs(matrix[np.isfinite(matrix)])
    return max(round(float(np.quantile(sizes, 0.99)), 3), 0.01) if len(sizes) else 1.0


def _told(one: Correlations) -> str:
    """What is seen on a heat map."""
    some = f"the {len(one.dims)} that vary most of all dimensions" if len(one.dims) > 99 else ""
    shown = some or f"all {len(one.dims)} dimensions"
    sizes = np.abs(one.matrix[np.isfinite(one.matrix)])
    if not len(sizes):
        return f"Of {one.of}: fewer than two dimensions vary."
    return (
        f"Of {one.of}, {shown}, over {one.n_rows:,} rows: blue go together, orange go against each "
        f"other; the mean size is {sizes.mean():.3f}, the largest {sizes.max():.3f}, and colours "
        f"end at {most_shown(one.matrix):.3f}. The diagonal is left out."
    )


def _said(found: Findings, atlas: Atlas) -> list[str]:
    """What is on the map, how much of it, and how it was drawn."""
    n_items, n_components = len(atlas.items), len(atlas.users)
    n_users = 0 if found.people is None else len(found.people.users)
    items = f"all {n_items:,} items"
    if n_items < atlas.n_items:
        items = f"{n_items:,} items, drawn at random from {atlas.n_items:,}"
    lines = [
        f"Large dots are {items}; those near each other have like vectors. t-SNE (openTSNE, "
        f"perplexity {PERPLEXITY}) of the unit vectors' main axes, started from the first two: "
        "neighbourhoods mean something, distances between far groups do not."
    ]
    if n_components:
        people = f"all {n_users:,} training users"
        if n_users < atlas.n_users:
            people = f"{n_users:,} training users, drawn at random from {atlas.n_users:,}"
        lines.append(
            f"Small dots are people: the two components of each that the model is most confident "
            f"of, {n_components:,} in all, for {people}. Components lie in the items' space, and "
            "have the colour of their concept."
        )
    elif found.concepts is None:
        lines.append("This model has no concepts, and so people have no components to show.")
    also = found.concepts is not None or found.label is not None
    alone = "; press a name under the map to see it alone" if also else ""
    return [*lines, f"Point at a dot for its title{alone}."]


def _views(found: Findings) -> list[dict[str, Any]]:
    """The sides that the map can be seen from."""
    both = {"items": True, "people": True, "by": "concept"}
    views = []
    if found.concepts is not None:
        views = [
            {"name": "items and people by concept", **both},
            {"name": "items", **both, "people": False},
            {"name": "people", **both, "items": False},
        ]
    if found.label is not None:
        label = {"name": f"items by {found.label.name}", **both, "people": False, "by": "label"}
        views.append(label)
    return views or [{"name": "items", **both, "people": False}]


def _labels(found: Findings) -> tuple[np.ndarray, list[dict[str, str]]]:
    """The number of each item's label, -1 of none, and what they are; the rare ones together."""
    if found.label is None:
        return np.full(len(found.titles), -1), []
    counts = found.label.drop_nulls().value_counts(name="n")
    order = counts.sort("n", found.label.name, descending=[True, False])[found.label.name]
    own = order[:_LABELS].to_list()
    numbers = {name: n for n, name in enumerate(own)}
    rest = len(own) if len(order) > len(own) else -1
    places = [-1 if name is None else numbers.get(name, rest) for name in found.label]
    groups = _groups(own)
    if rest > 0:
        groups.append({"name": f"{len(order) - len(own)} others", "colour": shell.GREY})
    return np.array(places), groups


def _names(found: Findings) -> list[str]:
    """Of the concepts."""
    if found.concepts is None:
        return []
    return [called(k, name) for k, name in found.concepts.concepts["concept", "name"].iter_rows()]


def _groups(names: list[str]) -> list[dict[str, str]]:
    """Names with their colours."""
    return [
        {"name": name, "colour": colour}
        for name, colour in zip(names, colours(len(names)), strict=True)
    ]


def _item_concepts(found: Findings) -> np.ndarray:
    """Of every item, -1 where there are none."""
    if found.concepts is None:
        return np.full(len(found.titles), -1)
    return found.concepts.assignments["concept"].to_numpy()


def _people(found: Findings, atlas: Atlas) -> list[str]:
    """What is said of each component."""
    if found.people is None:
        return []
    ids = found.people.users.cast(pl.String).gather(atlas.users)
    sure = found.people.confidence[atlas.users, atlas.concepts]
    return [f"person {one}, {part:.0%} of the history" for one, part in zip(ids, sure, strict=True)]


def _places(places: Float[np.ndarray, "point two"]) -> dict[str, list[float]]:
    """To the hundredth: finer than a pixel."""
    x, y = places.round(2).T.tolist() if len(places) else ([], [])
    return {"x": x, "y": y}


def _hundredth(value: float) -> int | None:
    """For fewer letters on the page."""
    return None if np.isnan(value) else round(100 * value)


def _value(value: float | None) -> str:
    """To be shown."""
    return "fewer than two vary" if value is None else f"{value:.4f}"
