"""What a person asks of a list, the same JSON everywhere: concepts, dials, items, variety.

    {
      "concepts": {"bags": 2, "3": 0},
      "dials": [{"concept": "bags", "feature": "size", "shift": 0.6}],
      "boost": {"tt99": 3},
      "block": ["tt12"],
      "diversity": 0.3,
      "popularity": 0.5
    }

Each item's chance of being next becomes, up to a factor that all share,

    p(i | u) ∝ boost_i · popularity_i^(-popularity) · Σ_k weight_k c_ik exp(cos(z_uk, h_i) / tau)

with the points z_uk turned by the dials. An item's popularity is one more than the number of people
in training who had it. What is weighed at 0 or blocked is not listed, whatever else is asked for.
"""

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from macrid.errors import ControlError
from macrid.training.settings import Settings

_IN_JSON = {"a valid tuple": "a list", "a valid dictionary": "names with values, in braces"}
_SHOWN = 12  # names in a sentence
MOST = 1e6  # of a weight or a boost; more would be a ban on all else


class DialControl(Settings):
    """One dial, and how far it is turned."""

    concept: int | str
    dimension: int | str | None = None
    feature: str | None = None
    shift: Annotated[float, Field(ge=-1, le=1)] | None = None
    value: float | None = None

    @model_validator(mode="after")
    def _one_dial_one_way(self) -> "DialControl":
        if (self.dimension is None) == (self.feature is None):
            raise ValueError("a dial is either a dimension or a feature")
        if (self.shift is None) == (self.value is None):
            raise ValueError("a dial is turned by either a shift (-1 … 1) or to a value")
        return self


class Controls(Settings):
    """What is asked of lists; without anything, they are what they are.

    Args:
        concepts: Number or name of a concept → what its share of every item's chance is multiplied
            by. 0 mutes it: none of its items are listed.
        dials: Each ``{"concept", "dimension" or "feature", "shift" or "value"}``. A shift goes from
            a person's own value towards the ends of their range, -1 and 1 being the ends; a value
            is kept within the range. See `macrid.control.dials.Turn`.
        boost: Item → what its chance is multiplied by.
        block: Items that are not listed.
        diversity: 0 … 1, how much a place goes by being unlike the places above it (maximal
            marginal relevance); see `macrid.control.rerank.diversify`.
        popularity: Exponent by which popular items lose; 1 divides by the popularity.

    Raises:
        ControlError: From `of` and `read`, if something is misspelt or out of its bounds.

    Example:
        >>> Controls.of({"concepts": {3: 0}, "dials": [{"concept": 0, "dimension": 5, "shift": 1}]})
        ... # doctest: +ELLIPSIS
        Controls(concepts={'3': 0.0}, dials=(DialControl(concept=0, dimension=5, ...
        >>> Controls.of({"diversity": 2})
        Traceback (most recent call last):
        macrid.errors.ControlError: diversity is 2, but should be less than or equal to 1
    """

    concepts: dict[str, Annotated[float, Field(ge=0, le=MOST)]] = Field(default_factory=dict)
    dials: tuple[DialControl, ...] = ()
    boost: dict[str, Annotated[float, Field(gt=0, le=MOST)]] = Field(default_factory=dict)
    block: tuple[int | str, ...] = ()
    diversity: Annotated[float, Field(ge=0, le=1)] = 0.0
    popularity: Annotated[float, Field(ge=0, le=4)] = 0.0

    @field_validator("concepts", "boost", mode="before")
    @classmethod
    def _keys_are_text(cls, given: Any) -> Any:
        """JSON has no other keys; ids of both kinds are found by their text."""
        return {str(key): value for key, value in given.items()} if _is_mapping(given) else given

    @classmethod
    def of(cls, values: "Controls | Mapping[str, Any]") -> "Controls":
        """From what JSON holds.

        Raises:
            ControlError: If something is misspelt or out of its bounds.
        """
        if isinstance(values, Controls):
            return values
        if not _is_mapping(values):
            raise ControlError(f"controls are {values!r}, not named fields such as 'concepts'")
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise ControlError("; ".join(map(_sentence, error.errors()))) from None

    @classmethod
    def of_json(cls, document: str | bytes) -> "Controls":
        """From a JSON document to the letter: text is no number there.

        Raises:
            ControlError: If it is no JSON, misspelt, or out of its bounds.
        """
        try:
            return cls.model_validate_json(document, strict=True)
        except ValidationError as error:
            raise ControlError("; ".join(map(_sentence, error.errors()))) from None

    @classmethod
    def read(cls, path: str | Path) -> "Controls":
        """From a JSON file.

        Raises:
            ControlError: If it cannot be read, is no JSON, or says something that cannot be.
        """
        try:
            return cls.of(json.loads(Path(path).read_bytes()))
        except (OSError, ValueError) as error:
            raise ControlError(f"cannot follow {path}: {error}") from error

    def need_only(self, possible: Collection[str], model: str) -> None:
        """Refuse what a model cannot do.

        Raises:
            ControlError: If anything else is asked for.
        """
        nothing = dict(Controls())
        beyond = [n for n, asked in self if asked != nothing[n] and n not in possible]
        if beyond:
            raise ControlError(
                f"{model} cannot follow {' and '.join(beyond)}; it follows {', '.join(possible)}"
            )


def closest(asked: str, known: Sequence[str]) -> str:
    """The end of a sentence about a name that is not known.

    Example:
        >>> closest("prise", ["price", "size"])
        "did you mean 'price'? known: price, size"
    """
    near = difflib.get_close_matches(asked, known, 1)
    some = ", ".join(known[:_SHOWN]) + ", …" * (len(known) > _SHOWN)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known: {some or 'none'}"


def _is_mapping(given: Any) -> bool:
    return isinstance(given, Mapping)


def _sentence(problem: Any) -> str:
    """One of pydantic's findings in words."""
    place, *rest = problem["loc"] or ("controls",)
    for part in rest:
        if part not in ("int", "float", "str", "constrained-float"):  # which type it tried
            place += f"[{part}]" if isinstance(part, int) else f".{part}"
    if problem["type"] == "extra_forbidden":
        known = DialControl if rest else Controls
        return f"there is no control {place!r}; known: {', '.join(known.model_fields)}"
    message = problem["msg"]
    for prefix in ("Value error, ", "Input "):
        message = message.removeprefix(prefix)
    for python, words in _IN_JSON.items():
        message = message.replace(python, words)
    return f"{place} is {problem['input']!r}, but {message}"
