"""Asking the service in this process, as the tests of `service` do."""

import asyncio
import ssl
from contextlib import contextmanager

import httpx
from anyio.from_thread import start_blocking_portal

from macrid.service.app import create_app
from macrid.service.settings import ServeSettings

# Nobody here speaks TLS, for which httpx would read all certificates anew at each request.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def ask(method, url, **what) -> httpx.Response:
    """One request on a connection of its own, to a server that may be slow."""
    return httpx.request(method, url, verify=PLAIN, timeout=60, **what)


class Client:
    """Asks an app that lives in a thread of its own."""

    def __init__(self, app, portal) -> None:
        self.app, self.portal = app, portal
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.asked = httpx.AsyncClient(transport=transport, base_url="http://test", verify=PLAIN)

    def request(self, method, url, **what) -> httpx.Response:
        return self.at_once([(method, url, what)])[0]

    def get(self, url, **what):
        return self.request("GET", url, **what)

    def post(self, url, given=None, **what):
        return self.request("POST", url, **({} if given is None else {"json": given}), **what)

    def put(self, url, given, **what):
        return self.request("PUT", url, json=given, **what)

    def at_once(self, requests) -> list[httpx.Response]:
        """Several requests, all of them begun before one is answered."""

        async def ask():
            some = [self.asked.request(method, url, **what) for method, url, what in requests]
            return await asyncio.gather(*some)

        return self.portal.call(ask)


@contextmanager
def serving(folder, store, **settings):
    """A client of the real app, in this process."""
    app = create_app(ServeSettings(folder=folder, store=f"sqlite:///{store}", **settings))
    app.state.service.behind.patience = 60  # the machine may have other things to do
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(app.router.lifespan_context(app)),
    ):
        client = Client(app, portal)
        yield client
        portal.call(client.asked.aclose)


def refused(answer, *statuses):
    """The sentence of a problem."""
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert "Traceback" not in answer.text
    return problem["detail"]
