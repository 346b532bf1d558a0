"""Names that people gave to concepts and to the ends of dimensions; what ``names.json`` holds.

Concepts and dimensions are counted from 0. A name means one concept whatever its case, and is no
number, so that a command line can take either.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from macrid.control.naming import UNNAMED
from macrid.errors import SettingsError
from macrid.training.settings import Settings

LONGEST = 60  # letters


class Names(Settings):
    """Names given by hand; immutable, a changed one is new.

    Raises:
        SettingsError: If a name is empty, a number, too long, or means two concepts.

    Example:
        >>> names = Names().with_concept(2, "bags").with_dimension(2, 14, ("small", "large"))
        >>> print(names.to_json())
        {
          "concepts": {
            "2": "bags"
          },
          "dimensions": {
            "2": {
              "14": [
                "small",
                "large"
              ]
            }
          }
        }
    """

    concepts: dict[int, str] = Field(default_factory=dict, description="concept → its name")
    dimensions: dict[int, dict[int, tuple[str, str]]] = Field(
        default_factory=dict, description="concept → dimension → [low end, high end]"
    )

    @field_validator("concepts")
    @classmethod
    def _each_means_one(cls, concepts: dict[int, str]) -> dict[int, str]:
        concepts = {number: _name(name) for number, name in concepts.items()}
        if len({name.casefold() for name in concepts.values()}) < len(concepts):
            raise ValueError("a name means one concept; give each a name of its own")
        return concepts

    @field_validator("dimensions")
    @classmethod
    def _ends_are_names(
        cls, dimensions: dict[int, dict[int, tuple[str, str]]]
    ) -> dict[int, dict[int, tuple[str, str]]]:
        for low, high in (ends for some in dimensions.values() for ends in some.values()):
            if low.strip().casefold() == high.strip().casefold():
                raise ValueError(f"both ends of a dimension are called {low!r}; they are opposites")
        return {
            concept: {d: (_name(low), _name(high)) for d, (low, high) in some.items()}
            for concept, some in dimensions.items()
        }

    @classmethod
    def read(cls, document: bytes, n_concepts: int, n_dims: int) -> "Names":
        """From the JSON of `to_json`, for a model of a size.

        Raises:
            SettingsError: If it is something else, or names what the model has not.
        """
        try:
            content = json.loads(document)
        except ValueError as error:
            raise SettingsError(f"it is no JSON: {error}") from error
        if not isinstance(content, Mapping):
            raise SettingsError(f'it holds {content!r}, not {{"concepts": …, "dimensions": …}}')
        names = cls.of(content)
        for concept in {*names.concepts, *names.dimensions}:
            check_number("concept", concept, n_concepts)
            for dimension in names.dimensions.get(concept, ()):
                check_number("dimension", dimension, n_dims)
        return names

    def to_json(self) -> str:
        """For people and `read`."""
        return json.dumps(self.model_dump(), indent=2, ensure_ascii=False)

    def with_concept(self, concept: int, name: str | None) -> "Names":
        """With a name more, another one, or without it."""
        return self._but(concepts=_changed(self.concepts, concept, name))

    def with_dimension(self, concept: int, dimension: int, ends: Any) -> "Names":
        """With a dimension's ``low, high`` ends named, named otherwise, or without names."""
        mine = _changed(self.dimensions.get(concept, {}), dimension, ends)
        return self._but(dimensions=_changed(self.dimensions, concept, mine or None))

    def _but(self, **changed: Any) -> "Names":
        return Names.of({**self.model_dump(), **changed})


def _changed(named: Mapping[int, Any], number: int, name: Any) -> dict[int, Any]:
    """With another name for one of them; None takes it away."""
    return {n: kept for n, kept in {**named, number: name}.items() if kept is not None}


def check_number(what: str, number: int, count: int) -> None:
    """Refuse a concept or a dimension that is not there.

    Raises:
        SettingsError: If so.

    Example:
        >>> check_number("concept", 7, 7)
        Traceback (most recent call last):
        macrid.errors.SettingsError: there is no concept 7; the model's 7 are numbered 0 to 6
    """
    if not 0 <= number < count:
        raise SettingsError(
            f"there is no {what} {number}; the model's {count} are numbered 0 to {count - 1}"
        )


def _name(text: str) -> str:
    """A name that may be one."""
    name = text.strip()
    if not name or len(name) > LONGEST or not name.isprintable():
        raise ValueError(f"{text!r} is no name: it has 1 to {LONGEST} letters that can be printed")
    if name.lstrip("+-").isdecimal() or name.casefold() == UNNAMED:
        raise ValueError(f"{text!r} is no name: it would be taken for a number or for having none")
    return name
