"""The service as the page asks it: its public routes, and its sentences where it refuses."""

from collections.abc import Sequence
from typing import Any

import httpx

from macrid.errors import MacridError
from macrid.page.state import State

LISTED = 20  # items of a list
_SECONDS = 35.0  # the service itself gives up after 30, and says so
Row = dict[str, Any]


class Told(MacridError):  # noqa: N818
    """What the service says, or that it says nothing, in a sentence.

    Args:
        sentence: For the visitor.
        again: Seconds after which it is worth asking again; None if it is not.
    """

    def __init__(self, sentence: str, again: float | None = None) -> None:
        self.again = again
        super().__init__(sentence)


class Api:
    """Asks a service.

    Args:
        address: Of the service: ``http://127.0.0.1:8000``.
        key: That it wants, if it wants one.

    Raises:
        Told: From every method, if there is no answer or it is a problem.
    """

    def __init__(self, address: str, key: str | None = None) -> None:
        headers = {"X-API-Key": key} if key else {}
        # The service is beside the page: a proxy of the environment is not asked.
        self.client = httpx.AsyncClient(
            base_url=address, headers=headers, timeout=_SECONDS, trust_env=False
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self.client.aclose()

    async def search(self, text: str, size: int = 8) -> tuple[list[Row], int]:
        """The most popular items that a text fits, and how many there are."""
        found = await self._ask("GET", "/v1/items", params={"query": text[:256], "size": size})
        return found["items"], found["total"]

    async def items(self, ids: Sequence[str]) -> list[Row]:
        """All that is known of some items."""
        rows: list[Row] = []
        for start in range(0, len(ids), 100):
            asked = {"id": ids[start : start + 100]}
            rows += (await self._ask("GET", "/v1/items", params=asked))["items"]
        return rows

    async def concepts(self) -> Row:
        """What the model found."""
        return await self._ask("GET", "/v1/concepts", params={"top": 8, "dimensions": 6})

    async def features(self) -> list[Row]:
        """The features that can be turned; it takes the service a while when it is new."""
        return (await self._ask("GET", "/v1/dials", params={"dimensions": 0}))["features"]

    async def encode(self, history: Sequence[str]) -> list[Row]:
        """What the model knows of a person, concept by concept."""
        return (await self._ask("POST", "/v1/encode", json={"history": history}))["concepts"]

    async def recommend(self, state: State) -> Row:
        """The list that was asked for."""
        asked = {"history": state.history, "k": LISTED, "controls": state.controls()}
        return await self._ask("POST", "/v1/recommend", json=asked)

    async def explain(self, history: Sequence[str], item: str) -> Row:
        """Why an item has its score."""
        asked = {"history": history, "items": [item], "dimensions": 4}
        return await self._ask("POST", "/v1/explain", json=asked)

    async def walk(self, history: Sequence[str], concept: int, name: int | str) -> Row:
        """Real items along a dial, from where the person stands."""
        along = {"dimension" if isinstance(name, int) else "feature": name}
        asked = {"history": history, "concept": concept, "steps": 8, **along}
        return await self._ask("POST", "/v1/walk", json=asked)

    async def place(self, state: State) -> list[Row]:
        """Where the person's components stand on the map."""
        asked = {"history": state.history, "controls": {"dials": state.controls()["dials"]}}
        return (await self._ask("POST", "/v1/map/place", json=asked))["components"]

    async def _ask(self, method: str, path: str, **what: Any) -> Any:
        """An answer's content."""
        try:
            answer = await self.client.request(method, path, **what)
            said = answer.json()
        except httpx.TimeoutException:
            raise Told("the service took too long to answer", 2) from None
        except (httpx.HTTPError, ValueError):
            raise Told("the service does not answer; is it running?", 2) from None
        if answer.is_success:
            return said
        detail = said.get("detail") if isinstance(said, dict) else None
        wait = answer.headers.get("retry-after", "")
        again = float(wait) if wait.isdecimal() else None
        raise Told(detail or f"the service answered with status {answer.status_code}", again)
