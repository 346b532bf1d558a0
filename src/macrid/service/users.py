"""What people did and what they ask of every list: kept before it is acknowledged."""

from typing import Annotated

from fastapi import APIRouter, Body, Header, Path, Query, Request
from starlette.responses import Response

from macrid.control.controls import Controls
from macrid.service import answers, replies, wire
from macrid.service.examples import documented
from macrid.service.problems import Refused
from macrid.service.storage.store import MOST, StoredEvent
from macrid.service.wiring import Behind, JsonRoute, answer

router = APIRouter(prefix="/v1", route_class=JsonRoute, strict_content_type=False, tags=["people"])
UserId = Annotated[wire.Text, Path(description="as text, whatever it is", examples=["ada"])]
Key = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=256,
        description="the same request with the same key adds nothing twice, for seven days",
        examples=["5f0c6b1e"],
    ),
]


@router.post("/events", response_model=replies.Added, responses=documented("events"))
async def add_events(
    asked: wire.Events, service: Behind, request: Request, idempotency_key: Key = None
) -> Response:
    """Keep what people did. When this is answered, it is on the disk."""
    if service.histories is not service.store:
        raise Refused(
            409,
            "this service reads histories by a query of its operator's (--history-query), and "
            "keeps no events; write them to the table that it reads",
        )
    events = [
        StoredEvent(str(event.user_id), event.item_id, event.weight, event.timestamp)
        for event in asked.events
    ]
    client = request.scope["macrid.client"]
    done = await service.storing.do(service.store.add, events, idempotency_key, client)
    return answer({"added": done[0], "replayed": done[1]})


@router.get(
    "/users/{user_id:any}/history",
    response_model=replies.StoredHistory,
    responses=documented("history", 404),
)
async def history(
    service: Behind,
    user_id: UserId,
    limit: Annotated[int, Query(ge=1, le=MOST, description="events", examples=[100])] = 100,
) -> Response:
    """Somebody's stored events, newest first; none of somebody unknown.

    Of a history that is read by the operator's own query, only the items are known.
    """
    if service.histories is not service.store:
        items = await service.storing.do(service.histories.items, user_id, limit)
        return answer({"user_id": user_id, "events": [{"item_id": item} for item in items]})
    events = await service.storing.do(service.store.history, user_id, limit)
    rows = [{"item_id": e.item_id, "weight": e.weight, "timestamp": e.timestamp} for e in events]
    return answer({"user_id": user_id, "events": rows})


@router.put(
    "/users/{user_id:any}/controls",
    response_model=Controls,
    responses=documented("controls", 404),
)
async def save_controls(
    service: Behind,
    user_id: UserId,
    controls: Annotated[wire.Asked, Body(examples=[{"concepts": {"0": 2}, "diversity": 0.3}])],
) -> Response:
    """Keep what somebody asks of every list made for their user_id, in place of the last."""
    serving = service.holder.current
    await service.room.do(answers.check_controls, serving, controls)
    await service.storing.do(service.store.save_controls, user_id, controls, serving.learned)
    return answer(controls.model_dump(exclude_none=True))


@router.get(
    "/users/{user_id:any}/controls",
    response_model=Controls,
    responses=documented("controls", 404),
)
async def controls(service: Behind, user_id: UserId) -> Response:
    """What somebody asks of every list; nothing, if they never said."""
    saved = await service.storing.do(service.store.controls, user_id)
    return answer((saved[0] if saved else Controls()).model_dump(exclude_none=True))
