"""`macrid serve`: a model as a REST service."""

import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from macrid.cli import options as o
from macrid.cli.show import note
from macrid.errors import MissingExtra, SettingsError


def serve(
    folder: o.ModelFolder,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes that answer.")] = 1,
    store: Annotated[
        str | None,
        typer.Option(
            help="URL of the database of events: sqlite:///FILE or postgresql://USER@HOST/NAME.",
            show_default="an SQLite file beside DIR",
        ),
    ] = None,
    history_query: Annotated[
        str | None,
        typer.Option(
            help="SQL for people's items, newest first: SELECT item FROM clicks WHERE person = "
            ":user_id ORDER BY time DESC."
        ),
    ] = None,
    history_url: Annotated[
        str | None,
        typer.Option(help="URL of the database it asks.", show_default="that of --store"),
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with an API key in each line; MACRID_API_KEYS=KEY,KEY has the same effect."
        ),
    ] = None,
    rate_limit: Annotated[
        float | None,
        typer.Option(help="Requests per second and key (or address), in each process."),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(help="A site whose pages may ask: https://example.org; repeatable."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Torch threads of each process.", show_default="what the machine has"),
    ] = None,
    max_body: Annotated[int, typer.Option(help="Bytes of a request's body.")] = 1 << 20,
    queue: Annotated[int, typer.Option(help="Requests that may wait for their turn.")] = 256,
    timeout: Annotated[float, typer.Option(help="Seconds for an answer.")] = 30.0,
    idle: Annotated[int, typer.Option(help="Seconds that a connection may send no request.")] = 15,
    page: Annotated[
        bool | None,
        typer.Option(
            "--page/--no-page",
            help="The page where people turn the dials, in a process beside the service. It has no "
            "keys of its own: with API keys it lends the first of them to whoever opens it.",
            show_default="if there are no API keys, and nicegui is installed",
        ),
    ] = None,
    page_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the page.", show_default="the next one"),
    ] = None,
    migrate_only: Annotated[
        bool, typer.Option("--migrate-only", help="Bring the store up to date, and end.")
    ] = False,
) -> None:
    """Serve a model over HTTP, with the routes that GET /openapi.json describes.

    SIGHUP, or POST /v1/admin/reload, takes a new model from DIR without a dropped request; SIGTERM
    and Ctrl-C finish what has begun.

    Example: macrid serve runs/first --port 8000
    """
    from macrid.page import launch

    try:
        from macrid.service.connections import bind
        from macrid.service.connections import serve as run
        from macrid.service.keys import read_keys
        from macrid.service.settings import ServeSettings
        from macrid.service.storage.engine import shown as shown_url
        from macrid.service.storage.store import Store
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "fastapi", "serve") from None

    if history_url is not None and history_query is None:
        raise SettingsError("--history-url is of no use without --history-query")
    settings = ServeSettings.of(
        {
            "folder": folder,
            "store": store,
            "history_query": history_query,
            "history_url": history_url,
            "key_file": api_key_file,
            "rate_limit": rate_limit,
            "origins": cors or (),
            "workers": workers,
            "threads": threads,
            "max_body": max_body,
            "queue": queue,
            "timeout": timeout,
            "idle": idle,
        }
    )
    if migrate_only:
        Store(settings.store_url).close()
        note(f"the store {shown_url(settings.store_url)} is up to date")
        return
    with bind(host, port) as listening, ExitStack() as beside:
        shown, port = f"[{host}]" if ":" in host else host, listening.getsockname()[1]
        said = [f"serving {folder} at http://{shown}:{port} (Ctrl-C ends it)"]
        keys = read_keys(api_key_file)
        if page_wanted(page, page_port, keys):
            found = beside.enter_context(bind_page(host, port, page_port))
            at = found.getsockname()[1]
            settings = settings.model_copy(update={"page_port": at})
            said.append(f"the page is at http://{shown}:{at}")
            nearby = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(shown, shown)
            beside.enter_context(launch.running(f"http://{nearby}:{port}", found, keys))
        run(settings, listening, lambda: [note(line) for line in said])


def page_wanted(page: bool | None, port: int | None, keys: list[str]) -> bool:
    """Whether there is to be a page; why not, if that may surprise.

    Raises:
        SettingsError: If a port was given to no page.
        MissingExtra: If it was asked for, and there is nothing to draw it.
    """
    from macrid.page import launch

    if page is False and port is not None:
        raise SettingsError("--page-port is of no use with --no-page")
    asked = bool(page) or port is not None
    if not launch.installed():
        if asked:
            raise MissingExtra("nicegui", "ui")
        if page is None:
            note("there is no page, as nicegui is not installed: pip install 'macrid[ui]'")
        return False
    if page is None and not asked and keys:
        note("there is no page, as it would lend an API key to whoever opens it; --page does so")
        return False
    return page is not False


def bind_page(host: str, port: int, wanted: int | None) -> socket.socket:
    """The page's socket: on the port that was asked for, else the next one or any free one."""
    from macrid.service.connections import bind

    try:
        return bind(host, min(port + 1, 65535) if wanted is None else wanted)
    except (OSError, SettingsError):
        if wanted is not None:
            raise
        return bind(host, 0)
