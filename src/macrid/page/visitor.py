"""One visitor: what they have asked for, what they see of it, and how the one follows the other.

Nothing here is shared between visitors. A list is asked for at once when something is turned; while
one is on its way, only the latest wish is remembered, so that a dragged slider never queues.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from html import escape

from macrid.page import lists, views
from macrid.page.api import Api, Row, Told
from macrid.page.dials import Card, cards, examples, knob_of
from macrid.page.seen import Goods, Screen
from macrid.page.state import BadLink, State, changes

_UNDONE = 100  # steps that can be taken back
_REST = 0.15  # seconds without a new wish


class Visitor:
    """Follows what is pressed and turned.

    Args:
        api: The service.
        screen: What the visitor sees.
    """

    def __init__(self, api: Api, screen: Screen) -> None:
        self.api, self.screen, self.look = api, screen, views.Look()
        self.state, self.undone = State(), list[State]()
        self.cards: tuple[Card, ...] = ()
        self.sure: dict[int, float] = {}
        self.goods = Goods(api)
        self.list: list[str] = []
        self.before: list[str] | None = None  # the list that the present one is compared with
        self.gesture: tuple[str, str] | None = None  # the slider that is being moved
        self._wish = self._shown = 0
        self._ranking = self._troubled = False
        self._text = ""
        self._found: Row = {}
        self._without = ""  # why there are no cards

    async def begin(self, query: str) -> None:
        """What the page shows at first."""
        with self._telling():
            try:
                self.state = State.of_link(query)
            except BadLink as error:
                await self._load()
                raise Told(str(error)) from None
            await self._load()

    async def wait_for_features(self) -> None:
        """The features that can be turned, as soon as the service has them."""
        for _ in range(200):
            wait: float | None = 1.0
            try:
                features = await self.api.features()
            except Told as told:
                wait = told.again
            else:
                if self._found:
                    self.cards = cards(self._found, features)
                    self._draw_cards()
                    return
            if wait is None:
                return  # a model without concepts
            await asyncio.sleep(wait)

    async def press(self, do: str, key: str) -> None:
        """Something was pressed; what it is, is in `macrid.page.views`."""
        action: Callable[[str], Awaitable[None]] | None = getattr(self, f"do_{do}", None)
        if action is not None:
            with self._telling():
                await action(key)

    async def turn(self, on: str, key: str, value: float, *, done: bool) -> None:
        """A slider was moved, or let go."""
        usable = isinstance(value, int | float) and math.isfinite(value)
        state = self._turned(on, key, value) if usable else None
        if state is not None and state != self.state:
            if self.gesture != (on, key):
                self._remember()
                self.gesture = on, key
            self.state = state
            with self._telling():
                await self._rank()
        if done:
            self.gesture = None
            self._draw_tools()
            self.screen.address(self.state.link())

    async def search(self, text: str) -> None:
        """What is looked for has changed."""
        self._text = text = text.strip()
        with self._telling():
            rows, total = await self.api.search(text) if text else ([], 0)
            if text == self._text:  # nothing else was typed meanwhile
                self.goods.learn(rows)
                self.screen.show("found", views.found(rows, total, text, self.state.history))

    async def do_add(self, item: str) -> None:
        """They had this, too."""
        if item not in self.state.history:
            self.screen.sheet(opened=False)
            await self._go(self.state.having(item))

    async def do_remove(self, item: str) -> None:
        """They did not."""
        await self._go(self.state.without(item))

    async def do_example(self, key: str) -> None:
        """Begin as somebody."""
        some = examples(self.cards)
        if key.isdecimal() and int(key) < len(some):
            await self._go(State(some[int(key)][1]))

    async def do_reset(self, _: str) -> None:
        """All dials as they were."""
        await self._go(self.state.untouched())

    async def do_empty(self, _: str) -> None:
        """Another person."""
        await self._go(State())

    async def do_undo(self, _: str) -> None:
        """As it was before."""
        if self.undone:
            last = self.undone.pop()
            await self._go(last, undoing=True)

    async def do_retry(self, _: str) -> None:
        """Ask the service again."""
        await self._load()

    async def do_dismiss(self, _: str) -> None:
        """The sentence was read, and goes."""

    async def do_close(self, _: str) -> None:
        """The explanation was read."""
        self.screen.sheet(opened=False)

    async def do_fold(self, key: str) -> None:
        """Show or hide a concept's dials."""
        if key.isdecimal():
            self.look.open ^= {int(key)}
            self._draw_cards()

    async def do_walk(self, key: str) -> None:
        """Show or hide the strip along a dial."""
        knob = knob_of(self.cards, key)
        if knob is None or (self.look.walked is not None and self.look.walked[0] == knob.dial):
            self.look.walked = None
        else:
            concept, name = knob.dial
            typical = next(card.typical for card in self.cards if card.concept == concept)
            start = self.state.history or typical[:1]
            found = await self.api.walk(start, concept, name)
            rows = await self.goods.some([str(row["item_id"]) for row in found["items"]])
            self.look.walked = knob.dial, lists.walked(rows, knob)
        self._draw_cards()

    async def do_why(self, item: str) -> None:
        """Explain an item."""
        if not self.state.history:
            raise Told("nothing is known of you yet, so these are simply the most popular items")
        said = await self.api.explain(self.state.history, item)
        await self.goods.some([item, *self.state.history])
        self.screen.show("sheet", lists.why(self.goods.known[item], said, self.goods.known))
        self.screen.sheet(opened=True)

    async def _load(self) -> None:
        """Everything, from what was asked for."""
        try:
            self._found = await self.api.concepts()
        except Told as told:
            if told.again is not None:
                raise
            self._without = f'<p class="empty">{escape(str(told))}.</p>'
        else:
            self.cards = cards(self._found, ())
            typical = [item for card in self.cards for item in card.typical]
            for row in await self.goods.some(typical):
                self.look.tiles[str(row["item_id"])] = views.tile(row)
        self.screen.show("people", views.people(examples(self.cards)))
        try:
            await self._follow()
        except Told as told:  # a link of another model: said, and left behind
            if told.again is not None or self.state == State():
                raise
            self.state = State()
            await self._follow()
            raise

    async def _go(self, state: State, *, undoing: bool = False) -> None:
        """To another state, if the service can follow."""
        before = self.state
        if state == before:
            return
        if undoing:
            self.before = list(self.list) if before.history else None
        else:
            self._remember()
        self.state = state
        try:
            await self._follow()
        except Told:
            self.state = before
            if self.undone and self.undone[-1] == before:
                self.undone.pop()
            raise

    def _remember(self) -> None:
        """So that it can be undone, and told what has changed."""
        self.undone = [*self.undone, self.state][-_UNDONE:]
        self.before = list(self.list) if self.state.history else None

    async def _follow(self) -> None:
        """Ask and draw all that hangs on the state."""
        had = await self.goods.some(self.state.history)
        self.screen.show("history", views.history(had))
        self.look.walked = None
        self.sure = {}
        if self.cards and had:
            said = await self.api.encode(self.state.history)
            self.sure = {row["concept"]: row["confidence"] for row in said}
            self.look.open = set(sorted(self.sure, key=lambda k: -self.sure[k])[:2])
        self._draw_cards()
        self._draw_tools()
        self.screen.address(self.state.link())
        await self._rank()

    async def _rank(self) -> None:
        """The list for the latest wish; one at a time."""
        self._wish += 1
        if self._ranking:
            return
        self._ranking = True
        try:
            while self._shown != self._wish:
                wish = self._wish
                said = await self.api.recommend(self.state)
                rows = await self.goods.some([str(row["item_id"]) for row in said["items"]])
                self._draw_list(rows, popular=said["popular"])
                self._shown = wish
        finally:
            self._ranking = False
        await self._point(self._wish)

    def _draw_list(self, rows: list[Row], *, popular: bool) -> None:
        """With what has come, left and moved since the last one."""
        self.list = [str(row["item_id"]) for row in rows]
        gained, said = None, ""
        if self.before is not None:
            gained, left = changes(self.before, self.list)
            titles = {item: views.title_of(self.goods.known[item]) for item in left}
            said = lists.change(gained, left, titles)
        elif popular:
            said = "The most popular items, as nothing is known of you yet."
        else:
            said = (
                "Turn something: what comes, leaves and moves is marked. Press an item to see why."
            )
        self.screen.show("list", lists.ranked(rows, gained))
        self.screen.show("strip", lists.strip(rows))
        self.screen.show("change", escape(said))

    def _draw_cards(self) -> None:
        drawn = views.cards(self.cards, self.sure, self.state, self.look)
        self.screen.show("cards", drawn or self._without)

    def _draw_tools(self) -> None:
        state = self.state
        touched, known = state != state.untouched(), state != State()
        drawn = views.tools(undoable=bool(self.undone), touched=touched, known=known)
        self.screen.show("tools", drawn)

    async def _point(self, wish: int) -> None:
        """On the map, which follows when the hand rests: lists come first."""
        await asyncio.sleep(_REST)
        if wish != self._wish:
            return
        spots: list[Row] = []
        if self.state.history and self.cards:
            with suppress(Told):  # the map may still be being drawn
                spots = await self.api.place(self.state)
        concepts = [{"concept": card.concept, "name": card.name} for card in self.cards]
        had = list(self.state.history)
        self.screen.point(had=had, listed=self.list, spots=spots, concepts=concepts)

    def _turned(self, on: str, key: str, value: float) -> State | None:
        """The state with a slider where it is now; None if there is no such slider."""
        if on == "weight" and key.isdecimal():
            return self.state.weighed(int(key), value)
        knob = knob_of(self.cards, key) if on == "dial" else None
        return None if knob is None else self.state.turned(knob.dial, value)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Show the service's sentence where there is one, until something works again."""
        try:
            yield
        except Told as told:
            self._troubled = True
            self.screen.show("trouble", views.trouble(str(told)))
        else:
            if self._troubled:
                self._troubled = False
                self.screen.show("trouble", "")
