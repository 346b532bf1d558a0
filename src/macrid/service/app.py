"""The service as an ASGI app, built from its settings: nothing is kept in modules."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import torch
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from macrid import __version__
from macrid.service import operations, routes, users
from macrid.service.keys import Keys
from macrid.service.limits import Gate
from macrid.service.problems import tell_problems
from macrid.service.replies import Problem
from macrid.service.settings import ServeSettings
from macrid.service.state import Service

# Lists are made by hundreds of short calls, after each of which their thread asks for the
# interpreter; for Python's own 5 ms, the event loop could let it wait after every one of them.
_TURN = 1e-3  # seconds


def create_app(settings: ServeSettings) -> FastAPI:
    """The service, ready to be run by any ASGI server.

    Raises:
        MacridError: If it cannot serve by these settings.
    """
    service = Service.open(settings)
    keys = Keys.read(settings.key_file)
    middleware = [Middleware(Gate, settings=settings, keys=keys, metrics=service.metrics)]
    if settings.origins:  # outside the gate: a browser asks for leave without a key
        allowed: dict[str, Any] = {"allow_origins": settings.origins, "allow_headers": ["*"]}
        middleware.insert(0, Middleware(CORSMiddleware, allow_methods=["*"], **allowed))
    app = FastAPI(
        title="macrid",
        version=__version__,
        summary="Recommendation that people understand and steer.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        middleware=middleware,
    )
    app.state.service = service
    tell_problems(app)
    for router in (routes.router, users.router, operations.router):
        app.include_router(router)
    app.openapi = lambda: _openapi(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Between the first request and the last."""
    service, loop = app.state.service, asyncio.get_running_loop()
    torch.set_num_threads(service.settings.torch_threads)
    sys.setswitchinterval(_TURN)
    reloads: set[asyncio.Task[bool]] = set()

    def reload() -> None:
        task = asyncio.ensure_future(service.reload())
        reloads.add(task)
        task.add_done_callback(_seen)
        task.add_done_callback(reloads.discard)

    with suppress(RuntimeError, ValueError):  # only a process's first thread is signalled
        loop.add_signal_handler(signal.SIGHUP, reload)
    yield
    await asyncio.gather(*reloads, return_exceptions=True)
    await service.close()


def _seen(task: "asyncio.Task[bool]") -> None:
    """A reload that was refused is in the log already."""
    if not task.cancelled():
        task.exception()


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description of all routes; every problem is of one kind."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        schemas = made["components"]["schemas"]
        schemas["Problem"] = Problem.model_json_schema()
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        app.openapi_schema = made
    return app.openapi_schema
