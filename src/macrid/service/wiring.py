"""What all routes share: the service behind them, bodies to the letter, answers as JSON."""

import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from pydantic_core import from_json, to_json
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.responses import Response

from macrid.control.controls import Controls
from macrid.service.holder import Serving
from macrid.service.saved import Followed, followed
from macrid.service.state import Service
from macrid.service.storage.store import MOST
from macrid.service.wire import Id


class AnyText(PathConvertor):
    """A part of an address that may be any text: ids have slashes, and lines."""

    regex = "(?s:.*)"


register_url_convertor("any", AnyText())


class StrictRequest(Request):
    """Of which a body is JSON as the standard has it: no NaN, no torn letters, no endless depth."""

    async def json(self) -> Any:
        """The body's value."""
        try:
            return from_json(await self.body(), allow_inf_nan=False)
        except ValueError as error:
            raise json.JSONDecodeError(str(error), "", 0) from None


class JsonRoute(APIRoute):
    """A route whose bodies are read so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own, with the other request."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strictly


async def _service(request: Request) -> Service:  # FastAPI calls others in a thread
    return request.app.state.service


Behind = Annotated[Service, Depends(_service)]


def answer(content: Any) -> Response:
    """A value as JSON; what is no number is null, as JSON has no other word for it."""
    body = to_json(content, inf_nan_mode="null", fallback=str)
    return Response(body, media_type="application/json")


async def history_of(service: Service, history: list[Id] | None, user_id: Id | None) -> list[Any]:
    """What a person had: as said, or as stored."""
    if history is not None:
        return history
    return await service.storing.do(service.histories.items, str(user_id), MOST)


async def controls_of(
    service: Service, serving: Serving, asked: Controls | None, user_id: Id | None
) -> Followed:
    """What is asked of a list: as said, or as saved."""
    if asked is not None or user_id is None:
        return Followed(asked or Controls())
    saved = await service.storing.do(service.store.controls, str(user_id))
    if saved is None:
        return Followed(Controls())
    return await service.room.do(followed, serving, *saved)
