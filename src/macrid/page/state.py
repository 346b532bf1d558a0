"""What a visitor has asked for, and the link that says the same: immutable, bounded, readable.

    ?had=bag-00001&had=bag-00080&weight=2:1.5&dimension=0:14:-0.4&feature=0:0.6:size

Weights are of concepts, 1 where nothing is said; dials are dimensions or features of a concept,
turned by -1 … 1. A link of another model is a link like any other: the service says what it lacks.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from macrid.errors import MacridError

MOST_HAD, MOST_TURNED, LONGEST = 60, 40, 6_000  # items, weights or dials, letters of a link
MOST_WEIGHT = 3.0

Dial = tuple[int, int | str]  # the concept; the number of a dimension, or a feature


class BadLink(MacridError):  # noqa: N818
    """A link that restores nothing."""


@dataclass(frozen=True)
class State:
    """What was asked for.

    Attributes:
        history: Ids of items, as text, the last one last.
        weights: Of concepts that do not count as they are.
        dials: How far each is turned that is turned at all.

    Example:
        >>> state = State(("a",)).having("b").weighed(2, 1.5).turned((0, "size"), 0.6)
        >>> state.link()
        'had=a&had=b&weight=2:1.5&feature=0:0.6:size'
        >>> State.of_link(state.link()) == state
        True
    """

    history: tuple[str, ...] = ()
    weights: tuple[tuple[int, float], ...] = ()
    dials: tuple[tuple[Dial, float], ...] = ()

    def having(self, *items: str) -> "State":
        """With more items; the earliest go where there would be too many."""
        history = [*self.history, *(item for item in items if item not in self.history)]
        return replace(self, history=tuple(dict.fromkeys(history))[-MOST_HAD:])

    def without(self, item: str) -> "State":
        """Less an item."""
        return replace(self, history=tuple(had for had in self.history if had != item))

    def weighed(self, concept: int, weight: float) -> "State":
        """With another weight of a concept; 1 is none."""
        weight = round(min(max(weight, 0.0), MOST_WEIGHT), 2)
        others = tuple(pair for pair in self.weights if pair[0] != concept)
        return replace(self, weights=others if weight == 1 else (*others, (concept, weight)))

    def turned(self, dial: Dial, shift: float) -> "State":
        """With a dial turned from the person's own value; 0 leaves it there."""
        shift = round(min(max(shift, -1.0), 1.0), 2)
        others = tuple(pair for pair in self.dials if pair[0] != dial)
        return replace(self, dials=others if shift == 0 else (*others, (dial, shift)))

    def untouched(self) -> "State":
        """The person alone, with nothing weighed or turned."""
        return State(self.history)

    def controls(self) -> dict[str, Any]:
        """As the service wants it."""
        return {
            "concepts": {str(concept): weight for concept, weight in self.weights},
            "dials": [
                {
                    "concept": concept,
                    "dimension" if isinstance(name, int) else "feature": name,
                    "shift": shift,
                }
                for (concept, name), shift in self.dials
            ],
        }

    def link(self) -> str:
        """The query of an address that restores this."""
        said = [("had", item) for item in self.history]
        said += [("weight", f"{concept}:{weight:g}") for concept, weight in self.weights]
        for (concept, name), shift in self.dials:
            if isinstance(name, int):
                said.append(("dimension", f"{concept}:{name}:{shift:g}"))
            else:
                said.append(("feature", f"{concept}:{shift:g}:{name}"))
        return urlencode(said, safe=":")

    @classmethod
    def of_link(cls, query: str) -> "State":
        """What a link says.

        Raises:
            BadLink: If it is no such link.
        """
        if len(query) > LONGEST:
            raise BadLink(f"the link has {len(query):,} letters; {LONGEST:,} are allowed")
        try:
            said = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
        except ValueError:
            said = [] if not query else [("", query)]
        state = cls()
        for name, value in said:
            if name not in _READ:
                known = ", ".join(_READ)
                raise BadLink(f"the link says {name or value!r}; it may say {known}")
            try:
                state = _READ[name](state, value)
            except ValueError:
                raise BadLink(f"the link says {name}={value!r}, which means nothing") from None
        counts = (("items", state.history, MOST_HAD), ("weights", state.weights, MOST_TURNED))
        for name, some, most in (*counts, ("dials", state.dials, MOST_TURNED)):
            if len(some) > most:
                raise BadLink(f"the link has {len(some)} {name}; {most} are allowed")
        return state


def _had(state: State, value: str) -> State:
    if not value or len(value) > 256 or "\0" in value:
        raise ValueError(value)
    return replace(state, history=tuple(dict.fromkeys((*state.history, value))))


def _weight(state: State, value: str) -> State:
    concept, weight = value.split(":")
    return state.weighed(_whole(concept), _number(weight, 0, MOST_WEIGHT))


def _dimension(state: State, value: str) -> State:
    concept, dimension, shift = value.split(":")
    return state.turned((_whole(concept), _whole(dimension)), _number(shift, -1, 1))


def _feature(state: State, value: str) -> State:
    concept, shift, name = value.split(":", 2)
    if not name or len(name) > 256 or "\0" in name:
        raise ValueError(value)
    return state.turned((_whole(concept), name), _number(shift, -1, 1))


_READ: dict[str, Callable[[State, str], State]] = {
    "had": _had,
    "weight": _weight,
    "dimension": _dimension,
    "feature": _feature,
}


def _whole(text: str) -> int:
    """A number from 0."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise ValueError(text)
    return int(text)


def _number(text: str, low: float, high: float) -> float:
    """Within bounds."""
    number = float(text)
    if not (math.isfinite(number) and low <= number <= high):
        raise ValueError(text)
    return number


def changes(before: Iterable[str], after: Iterable[str]) -> tuple[dict[str, int | None], list[str]]:
    """What a list has become: places gained by each item, None if it has come; and who left.

    Example:
        >>> changes(["a", "b", "c"], ["b", "a", "d"])
        ({'b': 1, 'a': -1, 'd': None}, ['c'])
    """
    ranks, listed = {item: n for n, item in enumerate(before)}, list(after)
    gained = {item: ranks[item] - n if item in ranks else None for n, item in enumerate(listed)}
    return gained, [item for item in ranks if item not in gained]
