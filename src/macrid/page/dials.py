"""What a visitor can turn, from what the service found: cards of concepts with a few dials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from macrid.page.state import Dial

UNNAMED = "unnamed"  # what the service calls what it has no word for
_NUMBERS, _TERMS, _DIMENSIONS = 3, 3, 2  # dials of a card, at most
_TYPICAL = 5  # items of a card, and of an example person
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Knob:
    """A dial and the words at its ends.

    Attributes:
        dial: Which.
        low: At the left.
        high: At the right.
    """

    dial: Dial
    low: str
    high: str

    @property
    def name(self) -> str:
        """Both ends."""
        return f"{self.low} to {self.high}"

    @property
    def key(self) -> str:
        """The dial in one word.

        Example:
            >>> Knob((0, "size"), "", "").key, Knob((0, 3), "", "").key
            ('0:f:size', '0:d:3')
        """
        concept, name = self.dial
        return f"{concept}:{'d' if isinstance(name, int) else 'f'}:{name}"


@dataclass(frozen=True)
class Card:
    """A concept that the model found.

    Attributes:
        concept: Its number.
        name: Of it.
        items: How many it has.
        typical: Ids of its most typical items.
        knobs: Its dials, the most telling first.
    """

    concept: int
    name: str
    items: int
    typical: tuple[str, ...]
    knobs: tuple[Knob, ...]


def cards(found: Row, features: Sequence[Row]) -> tuple[Card, ...]:
    """A card for each concept that has items.

    Args:
        found: What `GET /v1/concepts` says.
        features: Of `GET /v1/dials`; none yet, if they are still being fitted.
    """
    made = []
    for concept in found["concepts"]:
        k = concept["concept"]
        typical = [str(row["item_id"]) for row in found["typical"] if row["concept"] == k]
        if concept["n_items"]:
            name = concept["name"] if concept["name"] != UNNAMED else f"concept {k}"
            knobs = _knobs(concept, found["dimensions"], [f for f in features if f["concept"] == k])
            made.append(Card(k, name, concept["n_items"], tuple(typical[:_TYPICAL]), knobs))
    return tuple(made)


def examples(made: Sequence[Card]) -> list[tuple[str, tuple[str, ...]]]:
    """People to begin with: no real ones, but such as have a concept's typical items.

    Example:
        >>> bags, lamps = (Card(k, name, 9, (f"{k}-1",), ()) for k, name in enumerate("ab"))
        >>> examples([bags, lamps])
        [('a', ('0-1',)), ('b', ('1-1',)), ('a and b', ('0-1', '1-1'))]
    """
    largest = sorted(made, key=lambda card: -card.items)[:5]
    people = [(card.name, card.typical) for card in largest]
    for one, other in pairwise(largest[:3]):
        people.append((f"{one.name} and {other.name}", one.typical[:3] + other.typical[:3]))
    return people


def knob_of(made: Sequence[Card], key: str) -> Knob | None:
    """A dial by its key, if it is on a card."""
    return next((knob for card in made for knob in card.knobs if knob.key == key), None)


def _knobs(concept: Row, dimensions: Sequence[Row], features: Sequence[Row]) -> tuple[Knob, ...]:
    """Numbers first, then the concept's own terms, then dimensions that say something else."""
    k, words = concept["concept"], str(concept["name"]).casefold()
    telling = [t["term"] for t in concept.get("terms") or [] if t["term"].casefold() not in words]
    numbers = [f["feature"] for f in features if f["r2"] is not None][:_NUMBERS]
    strong = {f["feature"] for f in features if f["r2"] is None}
    terms = [term for term in telling if term in strong][:_TERMS]
    own = [d for d in dimensions if d["concept"] == k and d.get("feature") not in numbers]
    named = [d for d in own if UNNAMED not in (d["low"], d["high"])][:_DIMENSIONS]
    if not (numbers or terms or named):  # nothing has a name: some dials are better than none
        named = own[:_DIMENSIONS]
    return (
        *(Knob((k, name), f"less {name}", f"more {name}") for name in numbers),
        *(Knob((k, d["dimension"]), *_ends(d)) for d in named),
        *(Knob((k, name), f"less {name}", f"more {name}") for name in terms),
    )


def _ends(dimension: Row) -> tuple[str, str]:
    """Of a dimension, by its number where it has no words."""
    number, low, high = (dimension[name] for name in ("dimension", "low", "high"))
    return (
        f"dimension {number} −" if low == UNNAMED else low,
        f"dimension {number} +" if high == UNNAMED else high,
    )
