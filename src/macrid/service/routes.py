"""What the model is asked: lists, neighbours, concepts, explanations, walks, items."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from macrid.service import answers, mapping, replies, wire
from macrid.service.examples import documented
from macrid.service.state import Service
from macrid.service.wiring import Behind, JsonRoute, answer, controls_of, history_of

router = APIRouter(prefix="/v1", route_class=JsonRoute, strict_content_type=False, tags=["model"])
ItemId = Annotated[wire.Text, Path(description="as text, whatever it is", examples=["bag-00108"])]
Top = Annotated[int, Query(ge=1, le=100, description="most typical items of each", examples=[8])]
Dimensions = Annotated[int, Query(ge=0, le=1_000, description="of each concept", examples=[3])]


@router.post(
    "/recommend", response_model=replies.Recommended, responses=documented("recommend", 404)
)
async def recommend(asked: wire.Recommend, service: Behind) -> Response:
    """The best items for a person, known to the model or not: a history is enough."""
    serving = service.holder.current
    history = await history_of(service, asked.history, asked.user_id)
    controls = await controls_of(service, serving, asked.controls, asked.user_id)
    if asked.on_unknown == "raise":
        named = [*history, *(asked.items or ()), *asked.exclude]
        await service.room.do(answers.need_known, serving.model, named)
    wanted = answers.Wanted(serving, history, asked, controls)
    if wanted.plain:
        return answer(await service.lists.do(wanted))
    return answer(await service.room.do(answers.recommend_one, wanted))


@router.post("/similar", response_model=replies.SimilarItems, responses=documented("similar", 404))
async def similar(asked: wire.Similar, service: Behind) -> Response:
    """The items nearest to some, by the model's own notion of similarity."""
    serving = service.holder.current
    return answer(await service.room.do(answers.similar, serving, asked.items, asked.k))


@router.post("/encode", response_model=replies.Encoded, responses=documented("encode"))
async def encode(asked: wire.Encode, service: Behind) -> Response:
    """What the model knows of a person, concept by concept."""
    serving = service.holder.current
    history = await history_of(service, asked.history, asked.user_id)
    return answer(await service.room.do(answers.encode, serving, history))


@router.post("/explain", response_model=replies.Explained, responses=documented("explain", 404))
async def explain(asked: wire.Explain, service: Behind) -> Response:
    """Why items have their scores for a person: concepts, dimensions, and past items."""
    serving = service.holder.current
    history = await history_of(service, asked.history, asked.user_id)
    return answer(await service.room.do(answers.explain, serving, history, asked))


@router.post("/walk", response_model=replies.Walked, responses=documented("walk", 404))
async def walk(asked: wire.Walk, service: Behind) -> Response:
    """Real items along one aspect, alike in all others; from an item or from a person."""
    serving, start = service.holder.current, asked.item_id
    if start is None:
        start = await history_of(service, asked.history, asked.user_id)
    return answer(await service.room.do(answers.walk, serving, start, asked))


@router.get("/concepts", response_model=replies.ConceptsFound, responses=documented("concepts"))
async def concepts(service: Behind, top: Top = 8, dimensions: Dimensions = 3) -> Response:
    """What the model found: its concepts, their typical items and foremost dimensions."""
    serving = service.holder.current
    return answer(await service.room.do(answers.concepts, serving, top, dimensions))


@router.get("/dials", response_model=replies.DialsFound, responses=documented("dials"))
async def dials(service: Behind, dimensions: Dimensions = 3) -> Response:
    """What can be turned: the foremost dimensions of each concept with their ends, and features."""
    serving = service.holder.current
    fitted = await service.behind.get("dials", serving.digest, answers.fitted, serving)
    return answer(await service.room.do(answers.dials, serving, dimensions, fitted))


@router.get("/items", response_model=replies.ItemPage, responses=documented("items"))
async def items(
    service: Behind,
    query: Annotated[
        str, Query(max_length=256, description="part of a title or an id", examples=["bag"])
    ] = "",
    page: Annotated[int, Query(ge=1, le=1_000_000, description="from 1", examples=[1])] = 1,
    size: Annotated[int, Query(ge=1, le=100, description="of a page", examples=[20])] = 20,
    ids: Annotated[
        list[wire.Text] | None,
        Query(
            alias="id",
            max_length=100,
            description="or just these, in their order",
            examples=[["bag-00108"]],
        ),
    ] = None,
) -> Response:
    """Items whose title or id holds a text, whatever the case; the most popular first."""
    serving = service.holder.current
    if ids:
        return answer(await service.room.do(answers.named, serving, ids))
    return answer(await service.room.do(answers.items, serving, query, page, size))


@router.get("/map", response_model=replies.Mapped, responses=documented("map"))
async def map_of_items(service: Behind) -> Response:
    """Where every item stands on a plane, in columns; 503 while it is being drawn."""
    return Response((await _plane(service)).body, media_type="application/json")


@router.post("/map/place", response_model=replies.Placed, responses=documented("place", 404))
async def place(asked: wire.Place, service: Behind) -> Response:
    """Where a person's components stand on the map: among the items that they are nearest to."""
    plane = await _plane(service)
    history = await history_of(service, asked.history, asked.user_id)
    controls = await controls_of(service, plane.serving, asked.controls, asked.user_id)
    found = await service.room.do(mapping.components, plane, history, controls.controls)
    return answer({"model": plane.serving.model.name, "components": found})


@router.get("/items/{item_id:any}", response_model=replies.Row, responses=documented("item", 404))
async def item(service: Behind, item_id: ItemId) -> Response:
    """All that is known of an item."""
    serving = service.holder.current
    return answer(await service.room.do(answers.item, serving, item_id))


async def _plane(service: Service) -> mapping.Plane:
    """The map of the model that is served now."""
    serving, path = service.holder.current, service.settings.map_path
    return await service.behind.get("the map", serving.digest, mapping.draw, serving, path)
