"""Lists of items as HTML: what is recommended and how it moved, a walk, why an item is there.

As in `macrid.page.views`, every text is escaped.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from macrid.page.dials import Knob
from macrid.page.pictures import concept_colour
from macrid.page.views import Row, button, tile, title_of


def ranked(rows: Sequence[Row], gained: Mapping[str, int | None] | None) -> str:
    """The list; with what has moved since, if there was another."""
    return "".join(_place(n, row, gained) for n, row in enumerate(rows, 1))


def _place(rank: int, row: Row, gained: Mapping[str, int | None] | None) -> str:
    item, name = str(row["item_id"]), title_of(row)
    moved = 0 if gained is None else gained.get(item, 0)
    kind, mark = _mark(moved)
    hue = f"--hue:{concept_colour(row.get('concept'))}"
    inside = (
        f'<span class="rank">{rank}</span>{tile(row)}<span class="name">{escape(name)}</span>{mark}'
    )
    why = button(inside, "why", item, aria_haspopup="dialog")
    add = button("+", "add", item, f"add {name} to your history", at="more")
    return f'<li class="{kind}" style="{hue}">{why}{add}</li>'


def _mark(moved: int | None) -> tuple[str, str]:
    """What an item's way is called, and what is shown of it."""
    if moved is None:
        return "came", '<span class="mark">new</span>'
    if not moved:
        return "stayed", ""
    way, arrow = ("up", "▲") if moved > 0 else ("down", "▼")
    hidden = f'<span class="hidden">{way} {abs(moved)}</span>'
    return way, f'<span class="mark" aria-hidden="true">{arrow}{abs(moved)}</span>{hidden}'


def strip(rows: Sequence[Row]) -> str:
    """The top of the list, always in sight on a telephone."""
    return "".join(tile(row) for row in rows[:7])


def change(gained: Mapping[str, int | None], left: Sequence[str], titles: Mapping[str, str]) -> str:
    """What has become of the list, in a sentence.

    Example:
        >>> change({"a": None, "b": 1}, ["c"], {"c": "a blue lamp"})
        '1 came, 1 left, 1 moved. Left: a blue lamp.'
    """
    came = sum(moved is None for moved in gained.values())
    moved = sum(bool(places) for places in gained.values() if places is not None)
    if not (came or moved or left):
        return "Nothing has changed."
    names = "; ".join(titles.get(item, item) for item in left[:3])
    more = f" and {len(left) - 3} more" if len(left) > 3 else ""
    gone = f" Left: {names}{more}." if left else ""
    return f"{came} came, {len(left)} left, {moved} moved.{gone}"


def walked(rows: Sequence[Row], knob: Knob) -> str:
    """Real items along a dial (Figure 3 of Ma et al., 2019)."""
    steps = []
    for row in rows:
        name = title_of(row)
        inside = f"{tile(row)}<span>{escape(name)}</span>"
        step = button(inside, "add", str(row["item_id"]), f"add {name}", at="step")
        steps.append(f"<li>{step}</li>")
    said = f"from {knob.low} to {knob.high}, all else as alike as there is"
    return (
        f'<p class="soft">Real items {escape(said)}:</p>'
        f'<ol class="walk" aria-label="{escape(said)}">{"".join(steps)}</ol>'
    )


def why(row: Row, said: Mapping[str, Any], titles: Mapping[str, Row]) -> str:
    """Why an item is where it is: a sentence, concepts' shares, dimensions, past items."""
    item, name = str(row["item_id"]), title_of(row)
    sentence = next((str(one["sentence"]) for one in said["items"]), "")
    shares = [one for one in said.get("concepts") or [] if one["share"] >= 0.01]
    by_concept = [(c["name"], c["share"], c["concept"]) for c in shares]
    parts = [_bars("By concept", "", by_concept, "{:.0%}")]
    past = [
        (title_of(titles.get(had, {"item_id": had})), one["change"], -1)
        for one in sorted(said["history"], key=lambda one: -abs(one["change"]))
        if abs(one["change"]) >= 0.005
        for had in [str(one["past_item_id"])]
    ]
    told = "what its score would lose without each"
    parts.append(_bars("By what you had", told, past[:8], "{:+.2f}"))
    add = button("add to your history", "add", item, at="sheet")
    close = button("×", "close", "why", "close")
    return (
        f'<div class="sheet"><header>{tile(row)}<h2 id="why-title">{escape(name)}</h2>'
        f"{close}</header><p>{escape(sentence)}</p>{''.join(parts)}{add}</div>"
    )


def _bars(name: str, more: str, rows: Sequence[tuple[str, float, int]], shape: str) -> str:
    """Numbers as bars, negative ones to be told apart."""
    if not rows:
        return ""
    most = max(abs(value) for _, value, _ in rows) or 1.0
    lines = "".join(
        f"<li><span>{escape(str(label))}</span><b>{shape.format(value)}</b>"
        f'<div class="bar{" against" * (value < 0)}" style="--hue:{concept_colour(concept)}">'
        f'<i style="width:{100 * abs(value) / most:.1f}%"></i></div></li>'
        for label, value, concept in rows
    )
    heading = f"<h3>{escape(name)} <small>{escape(more)}</small></h3>"
    return f'{heading}<ul class="bars" role="list">{lines}</ul>'
