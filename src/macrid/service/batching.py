"""Work away from the event loop: in turn, in batches where neighbours share the cost, and bounded.

A batch is whatever came while the one before it was worked on, so that nobody ever waits for
neighbours: alone, a request begins at once; under load, batches grow and each request costs less.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeVar

from macrid.service.problems import Busy

Job = TypeVar("Job")
Result = TypeVar("Result")


class Room:
    """A few threads, before which only so many may wait.

    Args:
        name: Of the threads.
        threads: How many.
        most: Requests inside and waiting.

    Raises:
        Busy: From `do`, if the room is full.
    """

    def __init__(self, name: str, threads: int, most: int) -> None:
        self.most, self.inside = most, 0
        self._pool = ThreadPoolExecutor(threads, f"macrid-{name}")

    async def do(self, work: Callable[..., Result], *args: Any) -> Result:
        """Call a function in one of the threads."""
        if self.inside >= self.most:
            raise Busy(f"{self.inside:,} requests are waiting already; try again in a second")
        loop, self.inside = asyncio.get_running_loop(), self.inside + 1
        future = self._pool.submit(work, *args)
        # Not when who asked has gone, but when the thread is free again.
        future.add_done_callback(lambda _: _tell(loop, self._leave))
        return await asyncio.wrap_future(future)

    def _leave(self) -> None:
        self.inside -= 1

    def close(self) -> None:
        """Finish what has begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class Batcher(Generic[Job, Result]):
    """Does jobs in one thread, all that wait at a time.

    Args:
        work: Of several jobs to their results.
        most_at_once: Jobs of a batch.
        most: Jobs that may wait.
        told: Called with the size of each batch.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Job]], Sequence[Result]],
        *,
        most_at_once: int = 32,
        most: int = 256,
        told: Callable[[int], object] = lambda size: None,
    ) -> None:
        self.work, self.most_at_once, self.most, self.told = work, most_at_once, most, told
        self.waiting: list[tuple[Job, asyncio.Future[Result]]] = []
        self._running: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "macrid-batch")

    async def do(self, job: Job) -> Result:
        """A job's result.

        Raises:
            Busy: If too many wait already.
        """
        if len(self.waiting) >= self.most:
            raise Busy(f"{len(self.waiting):,} requests are waiting already; try again in a second")
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((job, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Finish what waits."""
        if self._running is not None:
            await self._running
        self._thread.shutdown(wait=True)

    async def _run(self) -> None:
        """Until nobody waits."""
        loop = asyncio.get_running_loop()
        while self.waiting:
            batch, self.waiting = (
                self.waiting[: self.most_at_once],
                self.waiting[self.most_at_once :],
            )
            batch = [(job, future) for job, future in batch if not future.done()]  # some have gone
            if not batch:
                continue
            self.told(len(batch))
            jobs = [job for job, _ in batch]
            outcomes = await loop.run_in_executor(self._thread, self._outcomes, jobs)
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if future.done():
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)
        self._running = None

    def _outcomes(self, jobs: Sequence[Job]) -> Sequence[Result | Exception]:
        """Of each job; one that fails fails alone."""
        try:
            return self.work(jobs)
        except Exception as error:  # noqa: BLE001  whoever asked is told
            if len(jobs) == 1:
                return [error]
            return [outcome for job in jobs for outcome in self._outcomes([job])]


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Call in the loop's thread, if it still runs."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
