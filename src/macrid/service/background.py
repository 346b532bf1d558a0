"""What takes long and is worked out once for each model: in a thread of its own, kept for all.

Whoever asks first has it begun and waits a while; who asks too early is told to come again. So no
request is held for half a minute, and nobody who asks for a list waits behind such work.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from macrid.service.problems import Busy

_PATIENCE = 5.0  # seconds that a request waits for the work
_AGAIN = 3  # seconds after which to ask again


class Background:
    """Works things out, two at a time.

    Args:
        patience: Seconds that a request waits.
    """

    def __init__(self, patience: float = _PATIENCE) -> None:
        self.patience = patience
        self._begun: dict[tuple[str, str], Future[Any]] = {}  # what, of which model
        self._thread = ThreadPoolExecutor(2, "macrid-background")  # the map waits for no dials

    async def get(self, what: str, digest: str, work: Callable[..., Any], *args: Any) -> Any:
        """What some work came to, for the model of a digest.

        Args:
            what: As the sentence calls it: "the map".
            digest: Of the model; work on others is forgotten.
            work: Called once.
            *args: For it.

        Raises:
            Busy: If it is not done yet.
        """
        future = self._begun.get((what, digest))
        if future is None or (future.done() and (future.cancelled() or future.exception())):
            for old in [key for key in self._begun if key[0] == what]:
                self._begun.pop(old).cancel()
            future = self._begun[what, digest] = self._thread.submit(work, *args)
        waiting = asyncio.wrap_future(future)
        done, _ = await asyncio.wait([waiting], timeout=self.patience)
        if not done:
            # Nobody awaits it any more, and what goes wrong is told to whoever asks again.
            waiting.add_done_callback(lambda one: one.cancelled() or one.exception())
            raise Busy(f"{what} of this model is being worked out; ask again soon", _AGAIN)
        return waiting.result()

    def close(self) -> None:
        """Begin nothing more; what has begun is of use to nobody."""
        self._thread.shutdown(wait=False, cancel_futures=True)
