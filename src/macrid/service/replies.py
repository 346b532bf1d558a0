"""What answers look like: rows come from the library's frames and may have more than this.

An item has its features beside its id, a dimension what it goes with; nothing is left out.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from macrid.service.wire import Id

Share = Annotated[float, Field(ge=0)]


class Row(BaseModel):
    """A row of an answer; items have their features beside what is named."""

    model_config = ConfigDict(extra="allow")


class Listed(Row):
    """A place on a list."""

    item_id: Id
    score: float
    rank: Annotated[int, Field(ge=1)]
    title: str | None = None
    why: str | None = None


class Recommended(BaseModel):
    """A list."""

    model: str
    items: list[Listed]
    unknown: Annotated[
        list[Id], Field(description="items of the request that the model does not know")
    ]
    left_out: Annotated[
        list[str], Field(description="saved controls that the model that is served cannot follow")
    ]
    popular: Annotated[
        bool, Field(description="nothing was known of the person: these are the most popular items")
    ]


class Neighbour(Listed):
    """A place among an item's neighbours."""

    query_id: Id


class SimilarItems(BaseModel):
    """Neighbours, by the items that were asked for."""

    model: str
    items: list[Neighbour]


class Point(Row):
    """What is known of somebody in one concept."""

    concept: int
    name: str
    confidence: Annotated[Share, Field(description="how much of the history the concept has")]
    mean: list[float]
    log_var: list[float]


class Encoded(BaseModel):
    """What is known of somebody, concept by concept."""

    model: str
    concepts: list[Point]
    unknown: list[Id]


class Explained(Row):
    """Why items have their scores; concepts and dimensions only of a model that has them."""

    model: str
    items: list[Row]
    history: list[Row]
    concepts: list[Row] | None


class Walked(Row):
    """Items along a dial, and its values."""

    model: str
    concept: int
    dial: str
    start: float
    range: list[float]
    stable: bool
    items: list[Row]
    unknown: Annotated[
        list[Id], Field(description="items of the history that the model does not know")
    ]


class ConceptsFound(Row):
    """What the model found."""

    model: str
    concepts: list[Row]
    typical: list[Row]
    dimensions: list[Row]


class DialsFound(BaseModel):
    """What can be turned: the foremost dimensions with their ends, and the features."""

    model: str
    dimensions: list[Row]
    features: list[Row]


class Mapped(BaseModel):
    """The map, in columns of one length."""

    model: str
    digest: Annotated[str, Field(description="of the model folder")]
    item_id: list[Id]
    title: list[str | None] | None
    x: Annotated[list[float], Field(description="between -1 and 1, as y")]
    y: list[float]
    concept: Annotated[list[int], Field(description="of each item; -1 in a model without")]


class Component(BaseModel):
    """Where somebody stands in one concept."""

    concept: int
    name: str
    confidence: Share
    x: float
    y: float


class Placed(BaseModel):
    """Where somebody stands on the map; nowhere without a known item."""

    model: str
    components: list[Component]


class ItemPage(BaseModel):
    """Items whose title or id holds what was asked for."""

    items: list[Row]
    total: int
    page: int
    size: int


class Added(BaseModel):
    """What was kept."""

    added: int
    replayed: Annotated[
        bool, Field(description="the same request was answered before; nothing is kept twice")
    ]


class StoredHistory(BaseModel):
    """Somebody's events, newest first."""

    user_id: str
    events: list[Row]


class Alive(BaseModel):
    """The process answers; of a ready one, with which model."""

    status: str
    model: str | None = None
    digest: Annotated[str | None, Field(description="of the model folder")] = None


class Reloaded(BaseModel):
    """Which model answers from now on."""

    model: str
    digest: str
    changed: bool


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "give either a history or a user_id",
                }
            ]
        }
    )
    type: str = "about:blank"
    title: str
    status: int
    detail: str
