"""What a model with concepts has to show: cards, shares, agreement with a label, strips of items.

Each chapter is a list of HTML, and empty where a model has nothing of the kind.
"""

from html import escape
from typing import Any

import polars as pl

from macrid.control.naming import UNNAMED
from macrid.evaluation.alignment import concept_table
from macrid.report import shell
from macrid.report.drawings import share_figure
from macrid.report.findings import Findings, called
from macrid.report.palette import colours
from macrid.report.strips import MOST, STARTS, Strip
from macrid.report.tables import html_table

_TERMS, _LABELS = 5, 12  # shown of a concept; columns of the table of labels


def cards(found: Findings) -> list[str]:
    """A card per concept: name, shares, confidence, terms, typical items."""
    if found.concepts is None:
        return []
    titles = dict(zip(found.concepts.assignments["item_id"], found.titles, strict=True))
    typical = found.concepts.typical.group_by("concept", maintain_order=True).agg(
        pl.struct("item_id", "probability").alias("items")
    )
    listed = dict(typical.iter_rows())
    hues = colours(len(found.concepts.concepts))
    drawn = "".join(
        _card(row, hues[row["concept"]], listed.get(row["concept"], []), titles)
        for row in found.concepts.concepts.iter_rows(named=True)
    )
    said = (
        "A concept is what people want; an item is of the one that it most probably belongs to, "
        "and the confidence is the mean probability of that. Names were given by hand, or are "
        "terms of the item features that the concept's items have more often than chance would "
        "have it (z: standard errors of the log-odds ratio, corrected for all that was tried); "
        "without such a term a concept has a number. The most typical items are the most probable "
        "ones, the more popular first among equals."
    )
    return ["<h2>Concepts</h2>", *shell.paragraphs([said]), f'<div class="cards">{drawn}</div>']


def _card(
    row: dict[str, Any], hue: str, items: list[dict[str, Any]], titles: dict[Any, str]
) -> str:
    """Of one concept."""
    name = escape(called(row["concept"], row["name"]))
    bars = "".join(
        f'<small>{text}</small><div class="bar"><i style="width:{100 * share:.1f}%"></i></div>'
        for text, share in (
            (f"{row['n_items']:,} items, {row['item_share']:.1%} of all", row["item_share"]),
            (f"{row['event_share']:.1%} of the events", row["event_share"]),
            (f"confidence {row['confidence']:.2f}", row["confidence"]),
        )
    )
    terms = ", ".join(f"{t['term']} (z {t['z']:.0f})" for t in row["terms"][:_TERMS])
    typical = "".join(
        f"<li>{escape(titles[item['item_id']])} <small>{item['probability']:.2f}</small></li>"
        for item in items
    )
    more = f"<small>More often than elsewhere: {escape(terms)}</small>" if terms else ""
    number = "" if row["name"] == UNNAMED else f"<small>concept {row['concept']}</small>"
    return (
        f'<div class="card" style="--hue:{hue}"><h3>{name} {number}</h3>{bars}{more}'
        f"<ol>{typical}</ol></div>"
    )


def collapse(found: Findings) -> list[str]:
    """How evenly the concepts share items and events."""
    if found.concepts is None:
        return []
    names = [called(k, name) for k, name in found.concepts.concepts["concept", "name"].iter_rows()]
    largest, entropy, k = found.concepts.largest_share, found.concepts.entropy, len(names)
    said = (
        f"The largest concept has {largest:.1%} of the items, where equal shares would be "
        f"{1 / k:.1%} (dashed). The entropy of the shares is {entropy:.3f} of 1: as even as "
        f"{k**entropy:.1f} concepts of one size. A collapsed model would have one concept with "
        "most of the items, and an entropy near 0. Each concept's upper bar is its share of the "
        "items, the pale one its share of the training events."
    )
    rows = [
        [name, f"{row['n_items']:,}", f"{row['item_share']:.1%}", f"{row['event_share']:.1%}"]
        for name, row in zip(names, found.concepts.concepts.iter_rows(named=True), strict=True)
    ]
    return [
        "<h2>How items are shared out</h2>",
        *shell.paragraphs([said]),
        shell.drawn(share_figure(found.concepts, names), "shares"),
        html_table(["concept", "items", "of items", "of events"], rows),
    ]


def agreement(found: Findings) -> list[str]:
    """Concepts against a label that the model was not told."""
    if found.concepts is None or found.label is None or found.alignment is None:
        return []
    measured, name = found.alignment, escape(found.label.name)
    counted = concept_table(found.concepts.assignments["concept"].to_numpy(), found.label)
    wide = [label for label in counted.columns if label != "concept"]
    shown, rest = wide[:_LABELS], wide[_LABELS:]
    if rest:
        counted = counted.with_columns(pl.sum_horizontal(rest).alias("others")).drop(rest)
    names = found.concepts.concepts["name"]
    rows = [[called(k, names[k]), *cells] for k, *cells in counted.iter_rows()]
    said = (
        f"Items of each concept by {found.label.name} (of a list, its first), which played no part "
        f"in training. Normalised mutual information is {measured.nmi:.3f} and the adjusted "
        f"Rand index {measured.ari:.3f} (both 1 where they are the same but for names, near 0 by "
        f"chance); {measured.purity:.1%} of {measured.n_items:,} items "
        f"are of their concept's commonest {found.label.name}."
    )
    table = html_table(["concept", *shown, *(["others"] if rest else [])], rows)
    return [f"<h2>Concepts against {name}</h2>", *shell.paragraphs([said]), table]


def strips(found: Findings) -> list[str]:
    """Walks through real items, along dimensions and along fitted directions."""
    if found.concepts is None:
        return []
    said = (
        "Real items of one concept, from the low end of a dial to its high end, and alike in all "
        "else as far as there are such items. Each walk starts from that one of the concept's "
        f"{STARTS} most popular items from which it goes farthest; its range, in which the "
        "concept's prototype stays the nearest where there is an item in it, is cut into parts "
        "with equally many items, and a beam search takes one from each (Ma et al., 2019, §2.4). "
        f"Shown are at most {MOST} dimensions, one of each concept: the one with the strongest "
        "name, or that varies most, each after another feature as far as there are."
    )
    titles = dict(zip(found.concepts.assignments["item_id"], found.titles, strict=True))
    hues = colours(len(found.concepts.concepts))
    dims = [one for one in found.strips if one.walk.dial != one.feature]
    fitted = [one for one in found.strips if one.walk.dial == one.feature]
    drawn = [_strip(one, titles, hues[one.walk.concept]) for one in dims]
    also = (
        "A direction of a concept's space along which a feature rises is a dial as well, even "
        "where no single dimension carries it. Refused are those that agree too weakly with their "
        "feature on items held out."
        if fitted
        else "No feature of the items is known, or goes well enough with a direction, to be a dial."
    )
    drawn += shell.paragraphs([also])
    drawn += [_strip(one, titles, hues[one.walk.concept]) for one in fitted]
    return ["<h2>Walks along dials</h2>", *shell.paragraphs([said]), *drawn]


def _strip(strip: Strip, titles: dict[Any, str], hue: str) -> str:
    """Of one dial."""
    values, walk = strip.walk.steps.value.tolist(), strip.walk
    low, high = min(values), max(values)
    steps = "".join(
        f'<li class="step"><b>{value:+.2f}</b>'
        f'<div class="bar"><i style="width:{100 * (value - low) / ((high - low) or 1):.0f}%"></i>'
        f"</div>{escape(titles[item])}{_known(strip.feature, known)}</li>"
        for item, value, known in zip(walk.items["item_id"], values, strip.values, strict=True)
    )
    unstable = [] if walk.stable else ["Here the range is all that the concept's items reach."]
    name = called(walk.concept, strip.concept)
    return (
        f'<div class="strip" style="--hue:{hue}"><h3>{escape(name)}, along {escape(strip.dial)}'
        f"</h3>{''.join(shell.paragraphs([strip.told, *unstable]))}<ol>{steps}</ol></div>"
    )


def _known(feature: str | None, value: float | bool | None) -> str:
    """What an item's feature is."""
    if feature is None or value is None:
        return ""
    if isinstance(value, bool):
        text = f"✓ {feature}" if value else f"not {feature}"
    else:
        text = f"{feature} {value:,.3g}"
    return f"<small>{escape(text)}</small>"
