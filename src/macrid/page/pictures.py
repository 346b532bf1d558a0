"""What an item looks like, drawn from its features: the shop's seven kinds; of others, a tile.

A picture is SVG text of 64 × 64, of which size, colour, darkness, price and style are *seen*. Any
text of an item is escaped, and nothing is ever fetched from another host: an ``image`` is shown if
it is a ``data:`` URL or an address on the page's own host (``/…``), and else the tile is.
"""

import math
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from macrid.report.palette import colours

Item = Mapping[str, Any]

_COLOURS = {  # as hue, saturation and lightness
    "red": (2, 68, 52),
    "blue": (216, 66, 55),
    "green": (148, 44, 44),
    "pink": (336, 66, 70),
    "grey": (215, 7, 58),
    "yellow": (46, 84, 57),
    "brown": (26, 45, 42),
    "black": (220, 12, 20),
    "white": (40, 20, 94),
    "silver": (210, 12, 76),
    "brass": (43, 55, 50),
    "copper": (18, 55, 50),
    "orange": (26, 86, 56),
    "sand": (40, 42, 70),
}
_NONE = (215, 10, 60)
_FRAME = (
    '<svg class="picture" viewBox="0 0 64 64" aria-hidden="true" focusable="false" '
    'fill="none" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round" '
    'stroke-linecap="round">{}</svg>'
)
_IMAGE = re.compile(
    r"data:image/(png|jpeg|gif|webp|avif);base64,[A-Za-z0-9+/=]{1,400000}|/(?!/)[\w./~%-]{1,500}",
    re.ASCII,
)

# Of every kind and style, from a file of drawings.
_SHAPES = {
    (kind, style): body
    for kind, style, body in re.findall(
        r'<g id="(\w+)-(\w+)">\s*(.*?)\s*</g>(?=\n<)',
        (Path(__file__).parent / "shop.svg").read_text(encoding="utf-8"),
        re.DOTALL,
    )
}
# How large the smallest are drawn; others are of one size, or change their shape with it.
_SMALLEST = {"bag": 0.5, "headphones": 0.72, "lamp": 0.55, "tent": 0.55}


def picture(item: Item, colour: str = "#8b93a1") -> str:
    """An item as SVG, or as an image of its own.

    Args:
        item: Its features by name; ``title`` and ``item_id`` for the tile.
        colour: Of the tile: that of its concept.

    Example:
        >>> bag = {"category": "bag", "style": "tote", "colour": "red", "size": 0.9}
        >>> "hsl(2" in picture(bag), "AB" in picture({"title": "Alpha beta"})
        (True, True)
    """
    image = item.get("image")
    if isinstance(image, str) and _IMAGE.fullmatch(image):
        return f'<img class="picture" src="{escape(image)}" alt="" loading="lazy">'
    kind, style = str(item.get("category")), str(item.get("style"))
    if (kind, style) not in _SHAPES:
        return _tile(item, colour)
    size = _share(item, "size")
    drawn = _body(kind, style, size).replace("FILL", _fill(item)).replace("DEEP", _fill(item, -14))
    smallest = _SMALLEST.get(kind, 1.0)
    factor = smallest + (1 - smallest) * size
    # Around the middle of its feet, so that the small stand where the large do.
    at = f"translate({32 - 32 * factor:.1f} {58 - 58 * factor:.1f}) scale({factor:.2f})"
    return _FRAME.format(f'<g transform="{at}">{drawn}</g>{_price(item)}')


def concept_colour(concept: Any) -> str:
    """The colour of a concept, grey of none.

    Example:
        >>> concept_colour(0), concept_colour(-1)
        ('#3b82f6', '#8b93a1')
    """
    known = isinstance(concept, int) and 0 <= concept < 1_000
    return colours(concept + 1)[concept] if known else "#8b93a1"


def initials(title: str) -> str:
    """Two letters to know something by.

    Example:
        >>> initials("The Big Sleep (1946)"), initials("x"), initials("…")
        ('BS', 'X', '·')
    """
    words = [word for word in re.findall(r"[^\W_]+", title) if not word.isdecimal()]
    telling = [word for word in words if word.casefold() not in ("the", "a", "an", "of", "and")]
    some = (telling or words or [title.strip(" …") or "·"])[:2]
    return "".join(word[0] for word in some).upper()


def _tile(item: Item, colour: str) -> str:
    """Initials on the colour of the concept."""
    letters = escape(initials(str(item.get("title") or item.get("item_id") or "·")))
    return _FRAME.format(
        f'<rect x="6" y="6" width="52" height="52" rx="10" fill="{escape(colour)}" '
        'fill-opacity=".22" stroke="none"/>'
        '<text x="32" y="39" text-anchor="middle" font-size="20" font-weight="600" '
        f'fill="currentColor" stroke="none">{letters}</text>'
    )


def _share(item: Item, name: str) -> float:
    """A number between 0 and 1; the middle of none."""
    value = item.get(name)
    if not isinstance(value, int | float) or math.isnan(value):
        return 0.5
    return min(max(float(value), 0.0), 1.0)


def _fill(item: Item, lighter: float = 0) -> str:
    """Its colour, as pale or dark as it is."""
    hue, saturation, lightness = _COLOURS.get(str(item.get("colour")), _NONE)
    if item.get("darkness") is not None:
        lightness = 78 - 56 * _share(item, "darkness")
    return f"hsl({hue} {saturation}% {min(max(lightness + lighter, 8), 96):.0f}%)"


def _price(item: Item) -> str:
    """One to three dots in the corner: cheap, neither, dear."""
    if item.get("price") is None:
        return ""
    n = 1 + int(_share(item, "price") * 2.999)
    dots = "".join(f'<circle cx="{59 - 5.5 * i:g}" cy="5" r="1.9"/>' for i in range(n))
    return f'<g class="price" fill="currentColor" stroke="none">{dots}</g>'


def _body(kind: str, style: str, size: float) -> str:
    """What an item of a style looks like: as the file has it, but for what changes with size."""
    own = _SHAPES[kind, style]
    if kind == "dress":
        hem, top = 38 + 19 * size, _EVENING if style == "evening" else _TOP
        right, left = 44 + 7 * size, 20 - 7 * size
        skirt = f"{top}L{right:.0f} {hem:.0f}Q32 {hem + 4:.0f} {left:.0f} {hem:.0f}L24 24L19 14Z"
        return f'<path fill="FILL" d="{skirt}"/>' + own.replace("HEM", f"{hem:.0f}")
    if kind == "headphones":
        return (_IN_EAR if size < 1 / 3 else _OVER_EAR) + own
    return own


_TOP = "M24 8L28 12Q32 15 36 12L40 8L45 14L40 24"
_EVENING = "M26 6L27 14Q32 18 37 14L38 6L40 14L40 24"
_IN_EAR = (
    '<path d="M20 26Q20 52 32 54Q44 52 44 26"/><g fill="FILL">'
    '<circle cx="18" cy="22" r="7"/><circle cx="46" cy="22" r="7"/></g>'
)
_OVER_EAR = (
    '<path stroke-width="3" stroke="DEEP" d="M12 38V32A20 20 0 0 1 52 32V38"/>'
    '<g fill="FILL"><rect x="7" y="35" width="12" height="20" rx="5"/>'
    '<rect x="45" y="35" width="12" height="20" rx="5"/></g>'
)
