"""For whoever runs the service: is it well, what has it done, take the new model."""

import re

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from macrid.service import replies
from macrid.service.examples import documented
from macrid.service.metrics import CONTENT_TYPE
from macrid.service.wiring import Behind, answer

router = APIRouter(tags=["operation"])
_PAGE = {"text/plain": {"example": 'macrid_requests_total{route="/v1/recommend"} 42.0\n'}}
_METRICS = documented("live") | {200: {"content": _PAGE, "description": "For Prometheus"}}


_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:\d+)?")


@router.get("/", include_in_schema=False)
async def page(request: Request, service: Behind) -> Response:
    """To the page, on the host by whose name this one was found."""
    port = service.settings.page_port
    host = _HOST.fullmatch(request.headers.get("host", ""))
    if port is None or host is None:
        raise HTTPException(404)
    return RedirectResponse(f"http://{host[1]}:{port}/", 307)


@router.get("/health/live", response_model=replies.Alive, responses=documented("live"))
async def live() -> Response:
    """Whether the process answers at all."""
    return answer({"status": "live"})


@router.get("/health/ready", response_model=replies.Alive, responses=documented("ready"))
async def ready(service: Behind) -> Response:
    """Whether requests are answered, and with which model; 503 while the store is away."""
    await service.storing.do(service.store.check)
    serving = service.holder.current
    return answer({"status": "ready", "model": serving.model.name, "digest": serving.digest})


@router.get("/metrics", response_class=Response, responses=_METRICS)
async def metrics(service: Behind) -> Response:
    """Counts and times of all processes, for Prometheus."""
    service.metrics.items.set(len(service.holder.current.model.items))
    page = await service.storing.do(service.metrics.page)
    return Response(page, media_type=CONTENT_TYPE)


@router.post(
    "/v1/admin/reload", response_model=replies.Reloaded, responses=documented("reload", 409)
)
async def reload(service: Behind) -> Response:
    """Take the model that is in the folder now; if it is damaged, the old one keeps serving.

    Answered when this process serves it; the others of the service have been told by then.
    """
    changed = await service.reload()
    service.tell_others()
    serving = service.holder.current
    return answer({"model": serving.model.name, "digest": serving.digest, "changed": changed})
