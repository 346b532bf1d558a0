"""Connections and processes: uvicorn's, with what it lacks for a service that strangers reach.

A connection has to send the head of a request in time, and a short one; uvicorn itself waits for
ever for the first, and reads on for as long as somebody writes.
Of several processes, SIGHUP reaches each, which then changes its model between two requests;
uvicorn's supervisor would restart them, and close connections that clients mean to use again.
"""

import asyncio
import errno
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

from prometheus_client.multiprocess import mark_process_dead
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors.multiprocess import Multiprocess

from macrid.errors import SettingsError
from macrid.service.app import create_app
from macrid.service.metrics import SHARED
from macrid.service.settings import ServeSettings

_CONNECTIONS = 1_000  # of a process; more are told to come later
_BACKLOG = 2_048
_HEAD = 1 << 16  # bytes of a request's head
_MOMENT = 0.5  # seconds
_FORM = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": _FORM}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "macrid": {"handlers": ["stderr"], "level": "INFO"},
        "uvicorn": {"handlers": ["stderr"], "level": "INFO"},
    },
}


class TimedProtocol(HttpToolsProtocol):
    """HTTP/1.1 on one connection, which is closed if no request's head comes in time and bounds."""

    _late: asyncio.TimerHandle | None = None
    _head = 0  # bytes of one that is not complete

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Go on waiting, unless the head is complete."""
        super().data_received(data)
        self._watch()
        self._head = 0 if self._late is None else self._head + len(data)
        if self._head > _HEAD and not self.transport.is_closing():
            self.send_400_response(f"The head of the request has more than {_HEAD:,} bytes.")

    def on_response_complete(self) -> None:
        """Wait for the next one."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._late is not None:
            self._late.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close in a moment: a request may be on its way, to which nobody would answer."""
        self.loop.call_later(_MOMENT, super().shutdown)

    def _watch(self) -> None:
        """Keep the time while a head is awaited, from when that began."""
        awaited = self.cycle is None or self.cycle.response_complete
        if awaited and self._late is None:
            self._late = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        elif not awaited and self._late is not None:
            self._late.cancel()
            self._late = None


class Workers(Multiprocess):
    """Several processes on one socket; who dies is replaced."""

    _untold: frozenset[int | None] = frozenset()

    def handle_hup(self) -> None:
        """Have each told to read the model folder again."""
        self._untold = frozenset(process.pid for process in self.processes)

    def keep_subprocess_alive(self) -> None:
        """As uvicorn does; the gauges of who is gone are forgotten, and who is ready is told."""
        before = {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        for pid in before - {process.pid for process in self.processes}:
            mark_process_dead(pid)
        for process in self.processes:
            # One that only begins would be ended by the signal, and may have read the old model.
            if process.pid in self._untold and process.pid and process.is_ready(1):
                self._untold -= {process.pid}
                os.kill(process.pid, signal.SIGHUP)


def bind(host: str, port: int) -> socket.socket:
    """The socket that requests come to.

    Raises:
        SettingsError: If the port is taken.
        OSError: If the address is none of this machine's, or may not be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"port {port} of {host} is taken; name another one, or 0 for any that is free"
            ) from error
        raise
    listening.set_inheritable(True)
    return listening


def serve(
    settings: ServeSettings, listening: socket.socket, begun: Callable[[], object] = lambda: None
) -> None:
    """Answer requests until SIGTERM or SIGINT, then finish what has begun.

    Args:
        settings: Of the service.
        listening: From `bind`.
        begun: Called when the model and the store are there.

    Raises:
        ArtifactError: If there is no model to serve.
        StoreError: If the store cannot be used.
    """
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is somebody to tell
    try:
        app = create_app(settings)  # here in any case: its refusals reach whoever started it
        begun()
        if settings.workers == 1:
            Server(_config(app, settings)).run(sockets=[listening])
        else:
            app.state.service.store.close()
            del app
            _run_workers(settings, listening)
    finally:
        signal.signal(signal.SIGHUP, before)


def _run_workers(settings: ServeSettings, listening: socket.socket) -> None:
    """Several processes, whose counts are added up."""
    with tempfile.TemporaryDirectory(prefix="macrid-metrics-") as shared:
        os.environ[SHARED] = shared
        config = _config(partial(create_app, settings), settings, factory=True)
        Workers(config, [listening]).run()


def _config(app: Any, settings: ServeSettings, *, factory: bool = False) -> Config:
    """What uvicorn is told."""
    return Config(
        app,
        factory=factory,
        workers=settings.workers,
        http=TimedProtocol,
        ws="none",
        lifespan="on",
        log_config=LOGGING,
        access_log=False,  # it would log addresses, in which there are ids
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=settings.idle,
        timeout_graceful_shutdown=int(settings.timeout) + 1,
        timeout_worker_healthcheck=30,
    )
