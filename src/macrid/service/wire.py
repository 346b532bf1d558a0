"""What may be asked: requests as types, with their bounds and an example of each.

Ids are the caller's own, text or whole numbers, and are found in the model's vocabulary by either
form, as everywhere in macrid. Nothing is converted in silence: text is no number, 1.5 no count.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictInt,
    StrictStr,
    model_validator,
)
from pydantic_core import to_json

from macrid.control.controls import Controls

MOST_ITEMS = 10_000  # of a history, of items that may or may not be listed
MOST_LISTED = 1_000  # in one list
MOST_DIALS = 100
_HAD: JsonValue = ["bag-00001", "bag-00080"]  # of examples, in the demo's shop
_FAR = 9 * 10**18  # within 64 bits, and written alike by languages that make it a float
_EXACT = 2**53  # whole numbers up to here are the same written as 7.0


def _followable(given: Any) -> Any:
    """Controls as JSON has them, in the library's own words if they are none."""
    asked = given if isinstance(given, Controls) else Controls.of_json(to_json(given))
    for name, most in (("dials", MOST_DIALS), ("boost", MOST_ITEMS), ("block", MOST_ITEMS)):
        if (n := len(getattr(asked, name))) > most:
            raise ValueError(f"{name} has {n:,} entries; {most:,} are allowed")
    return asked


def _whole(given: Any) -> Any:
    """7 for 7.0: to JSON they are one number, and some languages write all numbers so."""
    whole = isinstance(given, float) and given.is_integer() and abs(given) <= _EXACT
    return int(given) if whole else given


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL, which no id may")
    return text


WHOLE = BeforeValidator(_whole)
Text = Annotated[StrictStr, Field(min_length=1, max_length=256), AfterValidator(_no_nul)]
Number = Annotated[StrictInt, Field(ge=-_FAR, le=_FAR), WHOLE]
Id = Number | Text
Ids = Annotated[list[Id], Field(max_length=MOST_ITEMS)]
Some = Annotated[list[Id], Field(min_length=1, max_length=100)]
Asked = Annotated[Controls, BeforeValidator(_followable)]


class Wire(BaseModel):
    """Of a request: nothing misspelt, nothing converted, every number finite."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Person(Wire):
    """Who is asked about: a history, or somebody whose events are stored."""

    history: Annotated[Ids | None, Field(description="what the person had")] = None
    user_id: Annotated[Id | None, Field(description="or whose stored history it is")] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Person":
        if (self.history is None) == (self.user_id is None):
            raise ValueError("give either a history or a user_id")
        return self


class Recommend(Person):
    """A list is wanted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"history": _HAD, "k": 5}]})
    k: Annotated[int, Field(ge=1, le=MOST_LISTED, description="length of the list"), WHOLE] = 20
    items: Annotated[Ids | None, Field(description="only these may be listed")] = None
    exclude: Annotated[Ids, Field(description="these may not")] = Field(default_factory=list)
    include_seen: Annotated[bool, Field(description="list what the person had, too")] = False
    on_unknown: Annotated[
        Literal["ignore", "raise"],
        Field(description="unknown items of the request: named in the answer, or refused"),
    ] = "ignore"
    controls: Annotated[
        Asked | None,
        Field(description="what else is asked; by default, what was saved"),
    ] = None
    explain: Annotated[bool, Field(description="say of each item why")] = False


class Similar(Wire):
    """Neighbours are wanted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": ["bag-00001"], "k": 5}]})
    items: Annotated[Some, Field(description="whose neighbours")]
    k: Annotated[int, Field(ge=1, le=MOST_LISTED, description="neighbours of each"), WHOLE] = 20


class Encode(Person):
    """What the model knows of somebody is wanted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"history": _HAD}]})


class Place(Person):
    """Where somebody stands on the map is wanted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"history": _HAD}]})
    controls: Annotated[
        Asked | None,
        Field(description="of which dials count; by default, what was saved"),
    ] = None


class Explain(Person):
    """Why items have their scores is wanted; every past item is left out once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"history": _HAD, "items": ["bag-00108"]}]}
    )
    history: Annotated[
        list[Id] | None, Field(max_length=1_000, description="what the person had")
    ] = None
    items: Annotated[Some, Field(description="which are to be explained")]
    dimensions: Annotated[int, Field(ge=0, le=1_000, description="told of each item"), WHOLE] = 5


class Walk(Wire):
    """Items along one aspect are wanted, alike in all others."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"item_id": "bag-00001", "dimension": 0, "steps": 5}],
        }
    )
    item_id: Annotated[Id | None, Field(description="where to start")] = None
    history: Annotated[Ids | None, Field(description="or what a person had")] = None
    user_id: Annotated[Id | None, Field(description="or whose stored history it is")] = None
    concept: Annotated[
        Id | None, Field(description="number or name; by default the start's own")
    ] = None
    dimension: Annotated[Id | None, Field(description="number, or name of one of its ends")] = None
    feature: Annotated[Text | None, Field(description="or a number or term of the items")] = None
    steps: Annotated[int, Field(ge=1, le=50, description="items of the walk"), WHOLE] = 8
    beam: Annotated[int, Field(ge=1, le=64, description="unfinished walks kept"), WHOLE] = 16
    gamma: Annotated[
        float | None, Field(ge=0, le=1e6, description="weight of the items' likeness to each other")
    ] = None

    @model_validator(mode="after")
    def _one_start(self) -> "Walk":
        given = [self.item_id, self.history, self.user_id]
        if sum(start is not None for start in given) != 1:
            raise ValueError("give one of item_id, history and user_id to start from")
        return self


class Event(Wire):
    """Somebody had something."""

    user_id: Id
    item_id: Id
    weight: Annotated[float | None, Field(description="stars, plays; kept, not used")] = None
    timestamp: Annotated[
        float | None, Field(ge=-1e12, le=1e12, description="Unix seconds; by default, now")
    ] = None


class Events(Wire):
    """Events to be kept."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"events": [{"user_id": "ada", "item_id": "bag-00001"}]}]}
    )
    events: Annotated[list[Event], Field(min_length=1, max_length=1_000)]
