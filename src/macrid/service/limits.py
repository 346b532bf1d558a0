"""The gate before all routes: keys, rates, the size and the time of a request; what is logged.

Pure ASGI, so that a body is refused while it comes and not when it is here.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import Response

from macrid.service.keys import Buckets, Keys
from macrid.service.metrics import Metrics
from macrid.service.problems import Busy, Refused, answer_to
from macrid.service.settings import ServeSettings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# For whoever asks whether the process is well, or where the page is.
OPEN = ("/health/live", "/health/ready", "/")
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")  # labels that cannot be made up
_LOG = logging.getLogger("macrid.service.access")


class Gate:
    """Lets requests through that keep to the bounds.

    Args:
        app: What answers them.
        settings: The bounds.
        keys: Who may ask.
        metrics: Told of every answer.
    """

    def __init__(self, app: App, settings: ServeSettings, keys: Keys, metrics: Metrics) -> None:
        self.app, self.settings, self.keys, self.metrics = app, settings, keys, metrics
        self.buckets = Buckets(settings.rate_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, told = time.perf_counter(), _Told(send)
        try:
            self._admit(scope)
            async with asyncio.timeout(self.settings.timeout):
                body = await self._body(scope, receive)
                await self.app(scope, _Replay(body, receive), told)
        except TimeoutError:
            seconds = self.settings.timeout
            await told.instead(scope, receive, Busy(f"no answer within {seconds:g} seconds"))
        except _Gone:
            return
        except Exception as error:  # noqa: BLE001  the last place where it can be told
            await told.instead(scope, receive, error)
        finally:
            self._log(scope, told.status, time.perf_counter() - started)

    def _admit(self, scope: Scope) -> None:
        """Refuse who may not ask, or asks too often."""
        if scope["path"] in OPEN:
            scope["macrid.client"] = ""
            return
        scope["macrid.client"] = self.keys.client(dict(scope["headers"]))
        address = (scope.get("client") or ("",))[0]
        self.buckets.take(scope["macrid.client"] or address)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """All of it, if it is not too long and comes in time."""
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if said.isdigit() and int(said) > self.settings.max_body:
            raise self._too_long()
        parts, length, more = [], 0, True
        try:
            async with asyncio.timeout(self.settings.idle):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    parts.append(message.get("body", b""))
                    length, more = length + len(parts[-1]), message.get("more_body", False)
                    if length > self.settings.max_body:
                        raise self._too_long()
        except TimeoutError:
            raise Refused(
                408,
                f"the body did not come within {self.settings.idle} seconds",
                Connection="close",
            ) from None
        return b"".join(parts)

    def _too_long(self) -> Refused:
        """For a body, whose rest nobody will read."""
        most = self.settings.max_body
        return Refused(413, f"the body has more than {most:,} bytes", Connection="close")

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        """Route, status and time; never an address with an id in it."""
        route, method = getattr(scope.get("route"), "path_format", "(none)"), scope["method"]
        method = method if method in _METHODS else "(other)"
        self.metrics.answered(method, route, status, seconds)
        _LOG.info("%s %s %d %.1f ms", method, route, status, 1000 * seconds)


class _Gone(Exception):  # noqa: N818
    """Whoever asked has hung up."""


class _Told:
    """Passes an answer on, and remembers how far it has come."""

    def __init__(self, send: Send) -> None:
        self.send, self.status = send, 499  # nobody was there to be told

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self.send(message)

    async def instead(self, scope: Scope, receive: Receive, error: Exception) -> None:
        """Answer with a problem, unless an answer has begun."""
        if self.status == 499:
            answer: Response = answer_to(error)
            await answer(scope, receive, self)


class _Replay:
    """A body that was read already, then whatever comes after it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self.body: bytes | None = body
        self.receive = receive

    async def __call__(self) -> MutableMapping[str, Any]:
        if self.body is None:
            return await self.receive()
        body, self.body = self.body, None
        return {"type": "http.request", "body": body, "more_body": False}
