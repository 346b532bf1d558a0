"""What an item looks like, drawn from its features: the shop's seven kinds; of others, a tile.

A picture is SVG text of 64 × 64, of which size, colour, darkness, price and style are *seen*. Any
text of an item is escaped, and nothing is ever fetched from another host: an ``image`` is shown if
it is a ``data:`` URL or an address on the page's own host (``/…``), and else the tile is.
"""

import re
from collections.abc import Callable, Mapping
from html import escape
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
    kind = _KINDS.get(str(item.get("category")))
    if kind is None or str(item.get("style")) not in kind[1]:
        return _tile(item, colour)
    scale, styles = kind
    size = _share(item, "size")
    body = styles[str(item["style"])]
    drawn = body(size) if callable(body) else body
    drawn = drawn.replace("FILL", _fill(item)).replace("DEEP", _fill(item, -14))
    low, high = scale
    factor = low + (high - low) * size
    # Around the middle of its feet, so that the small stand where the large do.
    place = (
        f'transform="translate({32 - 32 * factor:.1f} {58 - 58 * factor:.1f}) scale({factor:.2f})"'
    )
    return _FRAME.format(f"<g {place}>{drawn}</g>{_price(item)}")


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
    usable = isinstance(value, int | float) and value == value
    return min(max(float(value), 0.0), 1.0) if usable else 0.5


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


def _dress(extra: str, top: str = "M24 8L28 12Q32 15 36 12L40 8L45 14L40 24") -> Callable:
    """A dress whose hem falls with its size; EXTRA may use the hem as HEM."""

    def drawn(size: float) -> str:
        hem = 38 + 19 * size
        skirt = (
            f"{top}L{44 + 7 * size:.0f} {hem:.0f}Q32 {hem + 4:.0f} {20 - 7 * size:.0f} {hem:.0f}"
        )
        return f'<path fill="FILL" d="{skirt}L24 24L19 14Z"/>' + extra.replace("HEM", f"{hem:.0f}")

    return drawn


def _tent(shape: str, extra: str) -> str:
    return f'<path fill="FILL" d="{shape}"/>{extra}<path d="M4 58H60"/>'


def _bag(handles: str, body: str, extra: str = "") -> str:
    return f'{handles}<path fill="FILL" d="{body}"/>{extra}'


def _shoe(shape: str, extra: str) -> str:
    return f'<path fill="FILL" d="{shape}"/>{extra}'


def _headphones(extra: str) -> Callable:
    """In the ear if they are small, over it if they are large."""

    def drawn(size: float) -> str:
        if size < 1 / 3:
            return (
                '<path d="M20 26Q20 52 32 54Q44 52 44 26"/><g fill="FILL">'
                '<circle cx="18" cy="22" r="7"/><circle cx="46" cy="22" r="7"/></g>' + extra
            )
        return (
            '<path stroke-width="3" stroke="DEEP" d="M12 38V32A20 20 0 0 1 52 32V38"/>'
            '<g fill="FILL"><rect x="7" y="35" width="12" height="20" rx="5"/>'
            '<rect x="45" y="35" width="12" height="20" rx="5"/></g>' + extra
        )

    return drawn


def _watch(hands: str) -> str:
    return (
        '<path fill="DEEP" d="M24 4H40L41 18H23ZM23 46H41L40 60H24Z"/>'
        f'<circle cx="32" cy="32" r="17" fill="FILL"/><circle cx="32" cy="32" r="12.5" '
        f'class="face"/>{hands}'
    )


_LOW = "M6 56V42Q6 36 12 37L24 40Q32 42 40 46Q56 48 58 56Z"
_HIGH = "M8 56V20H26V34Q30 42 42 44Q58 46 58 56Z"
_BOX = "M14 26H50L53 58H11Z"
# Of each kind: how large the smallest and the largest are drawn, and its styles.
_KINDS: dict[str, tuple[tuple[float, float], dict[str, str | Callable[[float], str]]]] = {
    "dress": (
        (1.0, 1.0),
        {
            "wrap": _dress('<path d="M28 12L40 24M24 24H40M38 24L32 HEM"/>'),
            "shirt": _dress('<path d="M28 12L32 17L36 12M32 17V HEM"/>'),
            "evening": _dress('<path d="M24 24Q32 28 40 24"/>', "M26 6L27 14Q32 18 37 14L38 6L40 14L40 24"),
            "summer": _dress(
                '<g fill="currentColor" stroke="none"><circle cx="28" cy="32" r="1.6"/>'
                '<circle cx="36" cy="31" r="1.6"/><circle cx="32" cy="37" r="1.6"/></g>'
                '<path d="M24 24H40"/>'
            ),
            "knitted": _dress('<path d="M23 24H41M23 29H41M22 34H42" stroke-dasharray="2 2.4"/>'),
            "pleated": _dress('<path d="M24 24H40M27 25L25 HEM M32 25V HEM M37 25L39 HEM"/>'),
        },
    ),
    "shoes": (
        (1.0, 1.0),
        {
            "running": _shoe(_LOW, '<path d="M24 46L30 41M30 48L36 43"/><path stroke-width="4" d="M6 57H58"/>'),
            "hiking": _shoe(_HIGH, '<path d="M18 26H26M19 31H27M21 36H30"/><path stroke-width="4" d="M7 57H58" stroke-dasharray="5 3"/>'),
            "leather": _shoe(_LOW, '<path d="M40 46Q36 52 38 56M6 49H16M6 56V60H18V56"/>'),
            "canvas": _shoe(_LOW, '<path d="M46 49Q42 53 44 56M22 44L28 40M27 46L33 42M6 52H44"/>'),
            "dancing": _shoe("M6 34Q18 34 28 46Q38 54 58 55Q58 58 54 58H38Q24 54 14 44Z", '<path stroke-width="2.4" d="M9 40L11 58"/>'),
        },
    ),
    "bag": (
        (0.5, 1.0),
        {
            "tote": _bag('<path d="M22 28V14Q22 8 27 8T32 14M32 28V14Q32 8 37 8T42 14V28"/>', _BOX),
            "shoulder": _bag('<path d="M14 30Q32 -18 50 30"/>', "M12 28H52V52Q52 58 46 58H18Q12 58 12 52Z", '<path d="M12 36H52M32 34V39"/>'),
            "messenger": _bag('<path d="M10 30L30 4M54 30L34 4"/>', "M8 28H56V58H8Z", '<path fill="DEEP" d="M8 28H56V44Q32 52 8 44Z"/><path d="M32 45V51"/>'),
            "travel": _bag('<path d="M24 30V20H40V30"/>', "M6 30H58Q60 44 58 58H6Q4 44 6 30Z", '<path d="M18 30V58M46 30V58M22 36H42"/>'),
            "evening": _bag('<path d="M16 40Q32 24 48 40" stroke-dasharray="1 3"/>', "M10 38H54L50 58H14Z", '<path d="M10 38L32 48L54 38"/><circle cx="32" cy="48" r="2.4" fill="currentColor"/>'),
        },
    ),
    "headphones": (
        (0.72, 1.0),
        {
            "studio": _headphones('<path d="M32 12V8"/>'),
            "sports": _headphones('<path stroke-width="2.6" d="M22 52Q27 46 32 52T42 52"/>'),
            "gaming": _headphones('<path d="M50 52Q46 60 36 59"/><circle cx="34" cy="59" r="2.6" fill="currentColor"/>'),
            "travel": _headphones('<path d="M26 40Q32 34 38 40M28 45Q32 41 36 45"/>'),
        },
    ),
    "lamp": (
        (0.55, 1.0),
        {
            "desk": '<path stroke-width="2.4" d="M20 57L14 34L36 16"/><path fill="FILL" d="M30 8L46 22L52 34L26 16Z"/><path fill="DEEP" d="M10 58Q20 52 30 58Z"/>',
            "floor": '<path stroke-width="2.4" d="M32 20V57"/><path fill="FILL" d="M24 4H40L47 22H17Z"/><path fill="DEEP" d="M22 58Q32 53 42 58Z"/>',
            "bedside": '<path fill="DEEP" d="M26 58Q22 46 30 38H34Q42 46 38 58Z"/><path fill="FILL" d="M22 14H42L50 38H14Z"/>',
            "hanging": '<path d="M32 0V18"/><path fill="FILL" d="M28 18H36Q54 26 56 44H8Q10 26 28 18Z"/><circle cx="32" cy="48" r="4"/>',
        },
    ),
    "tent": (
        (0.55, 1.0),
        {
            "dome": _tent("M6 58Q10 18 32 18T58 58Z", '<path d="M32 18Q22 38 22 58M32 18Q42 38 42 58"/>'),
            "tunnel": _tent("M4 58V44Q4 26 18 26H46Q60 26 60 44V58Z", '<path d="M22 26Q14 40 16 58M42 26Q50 40 48 58"/>'),
            "trekking": _tent("M32 14L60 58H4Z", '<path fill="DEEP" d="M32 26L42 58H22Z"/>'),
            "beach": _tent("M8 58Q8 22 36 22Q56 26 56 58L40 52Q32 36 8 58Z", '<path d="M36 22Q42 38 40 52"/>'),
        },
    ),
    "watch": (
        (1.0, 1.0),
        {
            "diving": _watch('<path stroke-width="2.6" d="M32 32V24M32 32L38 35"/><path stroke-dasharray="1 4.2" stroke-width="3" d="M32 17A15 15 0 1 1 31.9 17"/>'),
            "dress": _watch('<path stroke-width="1.2" d="M32 32V23M32 32L37 29"/>'),
            "pilot": _watch('<path stroke-width="2.4" d="M32 32V23M32 32L40 32"/><path fill="currentColor" d="M32 20L34 24H30Z"/><path d="M21 32H24M40 32H43M32 40V43"/>'),
        },
    ),
}  # fmt: skip
