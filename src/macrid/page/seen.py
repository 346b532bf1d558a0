"""What a visitor has before them: the screen, and the items that have been on it."""

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from macrid.page.api import Api, Row


@runtime_checkable
class Screen(Protocol):
    """What shows a visitor's parts of the page."""

    def show(self, part: str, html: str) -> None:
        """Draw a part."""

    def point(self, **what: Any) -> None:
        """Draw people and lists on the map."""

    def address(self, query: str) -> None:
        """Let the address bar say what restores this."""

    def sheet(self, *, opened: bool) -> None:
        """Open or close the sheet that explains."""


class Goods:
    """Items that a visitor has seen; each is asked for once.

    Args:
        api: The service.
    """

    def __init__(self, api: Api) -> None:
        self.api = api
        self.known: dict[str, Row] = {}  # by their ids as text

    async def some(self, ids: Iterable[str]) -> list[Row]:
        """All that is known of items, in their order.

        Raises:
            Told: If there is no such item, or no answer.
        """
        wanted = list(ids)
        missing = [item for item in dict.fromkeys(wanted) if item not in self.known]
        if missing:
            rows = await self.api.items(missing)
            self.learn(rows)
            self.known |= dict(zip(missing, rows, strict=True))  # as they were asked for
        return [self.known[item] for item in wanted]

    def learn(self, rows: Iterable[Row]) -> None:
        """Remember items."""
        self.known |= {str(row["item_id"]): row for row in rows}
