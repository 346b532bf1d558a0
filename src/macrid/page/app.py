"""The page as an ASGI app: NiceGUI draws it and carries what is pressed; `Visitor` decides.

Everything that a browser asks for comes from here, the map included, so that the service needs to
let no other site ask it, and a key never leaves this process.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI, Request
from nicegui import background_tasks, ui
from starlette.responses import Response

from macrid.page.api import Api
from macrid.page.pictures import concept_colour
from macrid.page.visitor import Visitor

_HERE = Path(__file__).parent
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><g fill="#3b82f6">'
    '<rect x="3" y="8" width="26" height="3" rx="1.5"/><rect x="3" y="21" width="26" height="3" '
    'rx="1.5"/></g><circle cx="11" cy="9.5" r="5" fill="#e8890c"/>'
    '<circle cx="21" cy="22.5" r="5" fill="#2aa876"/></svg>'
)
# What was pressed, by the nearest element that says so; what was moved or typed.
_PRESSED = """(e) => {
  const one = e.target.closest('[data-do]');
  if (one) emit({ do: one.dataset.do, key: one.dataset.key || '' });
}"""
_MOVED = """(e) => {
  const { on, key } = e.target.dataset;
  if (e.target.type === 'range') emit({ on, key, value: Number(e.target.value) });
}"""
_TYPED = "(e) => e.target.id === 'search' && emit({ text: e.target.value })"


class Map(ui.element, component="map.js"):
    """Every item on a plane."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._props["address"] = address


class Parts:
    """The parts of the page of one visitor, as `Visitor` knows them."""

    def __init__(self) -> None:
        self.client = ui.context.client
        self.drawn: dict[str, ui.html] = {}
        self.root = ui.element("div").classes("page")
        with self.root:
            self._build()

    def show(self, part: str, html: str) -> None:
        """Draw a part."""
        self.drawn[part].content = html

    def point(self, **what: Any) -> None:
        """Draw people and lists on the map."""
        for one in what["concepts"]:
            one["colour"] = concept_colour(one["concept"])
        self.map.run_method("show", what)

    def address(self, query: str) -> None:
        """Let the address bar say what restores this."""
        with self.client:
            ui.navigate.history.replace(f"?{query}" if query else "./")

    def sheet(self, *, opened: bool) -> None:
        """Open or close the sheet that explains."""
        call = "open || one.showModal()" if opened else "open && one.close()"
        self.client.run_javascript(
            f"const one = getHtmlElement({self.drawn['sheet'].id}); one.{call}"
        )

    def _part(self, name: str, tag: str = "div", **attributes: str) -> ui.html:
        """A part, empty at first; its texts were escaped where they were put together."""
        part = ui.html("", sanitize=False, tag=tag).classes(f"part {name}")
        part.props.update({"data-part": name, **attributes})
        self.drawn[name] = part
        return part

    def _build(self) -> None:
        """Three steps, and a map."""
        ui.html(_section("header"), sanitize=False, tag="header").classes("top")
        self._part("trouble", role="status")
        with ui.element("main").classes("steps"):
            with ui.element("section").classes("who"):
                ui.html(_section("who"), sanitize=False)
                self._part("found")
                self._part("people")
                self._part("history", **{"aria-label": "your history"})
            with ui.element("section").classes("what") as what:
                ui.html(_section("what"), sanitize=False)
                self._part("tools")
                self._part("cards")
            with ui.element("section").classes("yours"):
                ui.html(_section("yours"), sanitize=False)
                self._part("change", "p", **{"aria-live": "polite"})
                self._part("list", "ol", **{"aria-label": "your list"})
        with ui.element("section").classes("where"):
            ui.html(_section("where"), sanitize=False)
            self.map = Map("map")
        self._part("sheet", "dialog", **{"aria-labelledby": "why-title"})
        self._part("strip", "a", href="#your-list", **{"aria-label": "to your list"})
        self.what = what


def _section(name: str) -> str:
    """A fixed piece of the page."""
    pieces = (_HERE / "page.html").read_text(encoding="utf-8").split("<!-- ")
    return next(p.partition(" -->")[2] for p in pieces if p.partition(" -->")[0] == name)


def create_page(address: str, key: str | None = None) -> FastAPI:
    """The page over a service.

    Args:
        address: Of the service.
        key: That it wants, if it wants one; it is lent to whoever reaches the page.
    """
    api = Api(address, key)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await api.close()

    app = FastAPI(title="macrid page", docs_url=None, redoc_url=None, lifespan=lifespan)

    @app.get("/map")
    async def plane() -> Response:
        """The service's map, from this host."""
        try:
            answer = await api.client.get("/v1/map")
        except httpx.HTTPError:
            said = b'{"detail": "the service does not answer; is it running?"}'
            return Response(said, 503, {"Retry-After": "3"}, "application/json")
        kept = {name: v for name, v in answer.headers.items() if name.lower() == "retry-after"}
        # "Not yet" is no failure: a browser would put one into its console.
        status = 202 if answer.status_code == 503 else answer.status_code
        return Response(answer.content, status, kept, "application/json")

    style = (_HERE / "page.css").read_text(encoding="utf-8")
    script = (_HERE / "page.js").read_text(encoding="utf-8")

    @ui.page("/", title="macrid: turn the dials", favicon=_ICON)
    async def page(request: Request) -> None:
        ui.add_head_html(f"<style>{style}</style><script>{script}</script>")
        parts = Parts()
        visitor = Visitor(api, parts)
        _listen(parts, visitor)
        await ui.context.client.connected()
        await visitor.begin(request.url.query)
        waiting = background_tasks.create(visitor.wait_for_features(), name="features")
        ui.context.client.on_delete(lambda: waiting.cancel())

    ui.run_with(
        app,
        title="macrid",
        language="en-US",
        dark=None,
        tailwind=False,
        show_welcome_message=False,
        binding_refresh_interval=None,
    )
    return app


def _listen(parts: Parts, visitor: Visitor) -> None:
    """Carry what a visitor does to who decides."""

    async def pressed(event: Any) -> None:
        await visitor.press(str(event.args.get("do")), str(event.args.get("key")))

    async def moved(event: Any, done: bool = False) -> None:
        said = event.args
        await visitor.turn(str(said.get("on")), str(said.get("key")), said["value"], done=done)

    async def let_go(event: Any) -> None:
        await moved(event, done=True)

    async def typed(event: Any) -> None:
        await visitor.search(str(event.args.get("text")))

    async def added(event: Any) -> None:
        await visitor.press("add", str(event.args.get("id")))

    parts.root.on("click", pressed, js_handler=_PRESSED)
    parts.root.on("input", typed, js_handler=_TYPED, throttle=0.12, leading_events=False)
    parts.what.on("input", moved, js_handler=_MOVED, throttle=0.03)
    parts.what.on("change", let_go, js_handler=_MOVED)
    parts.map.on("add", added)
