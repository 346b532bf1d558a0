"""What a visitor sees, as HTML: functions of what there is to show, with every text escaped.

Whatever can be pressed has ``data-do``, by which `macrid.page.visitor` knows what is meant, and an
``id``, by which the focus finds it again when its part of the page has been drawn anew.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from macrid.page.dials import Card, Knob
from macrid.page.pictures import concept_colour, picture
from macrid.page.state import MOST_WEIGHT, State

OWN = 0.03  # of a history, from which a concept counts as the person's own
Row = Mapping[str, Any]


def title_of(row: Row) -> str:
    """What an item is called.

    Example:
        >>> title_of({"item_id": 7, "title": None})
        '7'
    """
    return str(row.get("title") or row["item_id"])


def tile(row: Row) -> str:
    """Its picture."""
    return picture(row, concept_colour(row.get("concept")))


def attributes(**given: Any) -> str:
    """Of an element, escaped; none for None, ``data_x`` becoming ``data-x``.

    Example:
        >>> attributes(id='a"b', data_do="add", title=None)
        ' id="a&quot;b" data-do="add"'
    """
    kept = {name: value for name, value in given.items() if value is not None}
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in kept.items()
    )


def button(content: str, do: str, key: str, label: str | None = None, **more: Any) -> str:
    """Something to be pressed.

    Args:
        content: HTML.
        do: What it does.
        key: With what.
        label: For those who do not see the content.
        **more: Attributes; ``at``, the part of the page that it is in, tells it from its likes.
    """
    name = f"{more.pop('at', do)}-{key}"
    named = attributes(id=name, data_do=do, data_key=key, aria_label=label, title=label, **more)
    return f'<button type="button"{named}>{content}</button>'


def found(rows: Sequence[Row], total: int, text: str, had: Sequence[str]) -> str:
    """What a search found."""
    if not text:
        return ""
    if not rows:
        return f'<p class="soft">Nothing is called “{escape(text)}”.</p>'
    lines = []
    for row in rows:
        item = str(row["item_id"])
        mark = '<span class="soft">added</span>' if item in had else ""
        inside = f"{tile(row)}<span>{escape(title_of(row))}</span>{mark}"
        lines.append(f"<li>{button(inside, 'add', item, at='found')}</li>")
    more = f'<p class="soft">{total - len(rows):,} more</p>' if total > len(rows) else ""
    return f'<ul class="results" role="list">{"".join(lines)}</ul>{more}'


def people(some: Sequence[tuple[str, tuple[str, ...]]]) -> str:
    """People to begin with."""
    chips = "".join(
        button(f"someone who likes <b>{escape(name)}</b>", "example", str(n))
        for n, (name, _) in enumerate(some)
    )
    return f'<p class="soft">or begin as</p><div class="chips">{chips}</div>' if chips else ""


def history(rows: Sequence[Row]) -> str:
    """What the person had."""
    if not rows:
        return (
            '<p class="empty">Nothing yet. Search for something you like, or take an example.</p>'
        )
    items = []
    for row in rows:
        item, name = str(row["item_id"]), title_of(row)
        hue = f'style="--hue:{concept_colour(row.get("concept"))}"'
        remove = button("×", "remove", item, f"remove {name}")
        items.append(f"<li {hue}>{tile(row)}<span>{escape(name)}</span>{remove}</li>")
    return f'<ul class="had" role="list">{"".join(items)}</ul>'


def cards(made: Sequence[Card], sure: Mapping[int, float], state: State, look: "Look") -> str:
    """Concepts, the person's own first."""
    if not made:
        return ""
    ordered = sorted(made, key=lambda card: -sure.get(card.concept, 0.0))
    drawn = [(card, sure.get(card.concept, 0.0)) for card in ordered]
    own = "".join(_card(card, part, state, look) for card, part in drawn if part >= OWN)
    others = "".join(_card(card, part, state, look) for card, part in drawn if part < OWN)
    if not others:
        return own
    heading = "Also in the catalogue, not in your history" if own else "What the model has found"
    return f'{own}<h3 class="also">{heading}</h3><div class="others">{others}</div>'


def tools(*, undoable: bool, touched: bool, known: bool) -> str:
    """What can be done with all of it."""
    wanted = [
        ("undo", "undo", undoable),
        ("reset the dials", "reset", touched),
        ("start over", "empty", known),
    ]
    buttons = (
        button(label, do, "tools", disabled=None if possible else "")
        for label, do, possible in wanted
    )
    link = '<button type="button" id="link" data-act="link">copy link</button>'
    return "".join(buttons) + link


class Look:
    """What a visitor has opened.

    Attributes:
        open: Concepts whose dials are shown.
        walked: The dial along which there is a strip, and the strip as HTML.
        tiles: Pictures of typical items by id, as HTML.
    """

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.walked: tuple[Any, str] | None = None
        self.tiles: dict[str, str] = {}


def _card(card: Card, sure: float, state: State, look: Look) -> str:
    """A concept."""
    k, weight = card.concept, dict(state.weights).get(card.concept, 1.0)
    own = sure >= OWN
    share = f"{sure:.0%} of your history" if own else ""
    opened = k in look.open
    fold = button(
        f"{'hide' if opened else 'show'} {len(card.knobs)} dials",
        "fold",
        str(k),
        aria_expanded=str(opened).lower(),
    )
    inside = ""
    if opened:
        inside = "".join(_knob(card, knob, state, look) for knob in card.knobs)
    typical = "".join(look.tiles.get(item, "") for item in card.typical)
    classes = "card" + " muted" * (weight == 0) + " own" * own
    slider = _range("weight", str(k), 0, MOST_WEIGHT, 0.1, weight, f"weight of {card.name}")
    return (
        f'<article class="{classes}" style="--hue:{concept_colour(k)}">'
        f'<header><h3>{escape(card.name)}</h3><span class="soft">{share}</span></header>'
        f'<div class="bar"><i style="width:{100 * sure:.1f}%"></i></div>'
        f'<div class="typical" aria-hidden="true">{typical}</div>'
        f'<label class="weight"><span>how much</span>{slider}'
        f"<output>{told_weight(weight)}</output></label>"
        f"{fold if card.knobs else ''}"
        f'<div class="dials">{inside}</div></article>'
    )


def _knob(card: Card, knob: Knob, state: State, look: Look) -> str:
    """A dial: its ends, its slider, and the strip of a walk."""
    shift = dict(state.dials).get(knob.dial, 0.0)
    key = knob.key
    label = f"{card.name}: {knob.name}"
    walked = look.walked is not None and look.walked[0] == knob.dial
    strip = look.walked[1] if walked and look.walked else ""
    walk = button("walk", "walk", key, f"walk along {label}", aria_expanded=str(walked).lower())
    return (
        f'<div class="dial"><div class="ends" aria-hidden="true"><span>{escape(knob.low)}</span>'
        f"<span>{escape(knob.high)}</span></div>"
        f'<div class="turn">{_range("dial", key, -1, 1, 0.05, shift, label)}{walk}</div>'
        f"{strip}</div>"
    )


def told_weight(weight: float) -> str:
    """As it is shown.

    Example:
        >>> told_weight(0), told_weight(1.5)
        ('off', '×1.5')
    """
    return "off" if weight == 0 else f"×{weight:g}"


def _range(
    on: str, key: str, low: float, high: float, step: float, value: float, label: str
) -> str:
    """A slider."""
    named = attributes(id=f"{on}-{key}", data_on=on, data_key=key, aria_label=label)
    bounds = attributes(min=low, max=high, step=step, value=f"{value:g}")
    part = 100 * (value - low) / (high - low)
    return f'<input type="range"{named}{bounds} style="--at:{part:.1f}%">'


def trouble(sentence: str) -> str:
    """What went wrong, and a way on."""
    if not sentence:
        return ""
    said = sentence[:1].upper() + sentence[1:]
    again = button("try again", "retry", "trouble")
    close = button("×", "dismiss", "trouble", "dismiss")
    return f'<div class="trouble" role="alert"><span>{escape(said)}.</span>{again}{close}</div>'
