"""Work in turn: batches form while the one before them is worked on, and places are bounded."""

import asyncio
import threading

import pytest

from macrid.service.batching import Batcher, Room
from macrid.service.problems import Busy


def test_what_comes_while_a_batch_is_worked_on_is_the_next_batch():
    begun, go, sizes = threading.Event(), threading.Event(), []

    def work(jobs):
        begun.set()
        go.wait(5)
        return [2 * job for job in jobs]

    async def ask():
        batcher = Batcher(work, most_at_once=4, told=sizes.append)
        first = asyncio.ensure_future(batcher.do(0))
        await asyncio.to_thread(begun.wait)
        rest = [asyncio.ensure_future(batcher.do(n)) for n in range(1, 7)]
        await asyncio.sleep(0)
        go.set()
        results = await asyncio.gather(first, *rest)
        await batcher.close()
        return results

    assert asyncio.run(ask()) == [0, 2, 4, 6, 8, 10, 12]
    assert sizes == [1, 4, 2]


def test_one_that_fails_fails_alone():
    def work(jobs):
        return [1 / job for job in jobs]

    async def ask():
        batcher = Batcher(work)
        some = [batcher.do(n) for n in (1, 0, 2)]
        results = await asyncio.gather(*some, return_exceptions=True)
        await batcher.close()
        return results

    one, failed, half = asyncio.run(ask())
    assert (one, half) == (1, 0.5)
    assert isinstance(failed, ZeroDivisionError)


def test_who_has_gone_is_not_worked_for():
    go, done = threading.Event(), []

    def work(jobs):
        go.wait(5)
        done.extend(jobs)
        return jobs

    async def ask():
        batcher = Batcher(work, most_at_once=1)
        some = [asyncio.ensure_future(batcher.do(n)) for n in range(3)]
        await asyncio.sleep(0.05)
        some[1].cancel()
        go.set()
        await asyncio.gather(*some, return_exceptions=True)
        await batcher.close()

    asyncio.run(ask())
    assert done == [0, 2]


def test_no_more_wait_than_may():
    go = threading.Event()

    def work(jobs):
        go.wait(5)
        return jobs

    async def ask():
        batcher = Batcher(work, most_at_once=1, most=2)
        some = [asyncio.ensure_future(batcher.do(n)) for n in range(1)]
        await asyncio.sleep(0.05)
        some += [asyncio.ensure_future(batcher.do(n)) for n in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="2 requests are waiting already"):
            await batcher.do(9)
        go.set()
        await asyncio.gather(*some)
        await batcher.close()

    asyncio.run(ask())


def test_a_room_is_full_until_its_work_is_done_even_if_nobody_waits_for_it():
    go = threading.Event()

    async def ask():
        room = Room("test", 1, 1)
        gone = asyncio.ensure_future(room.do(go.wait, 5))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="1 requests are waiting already"):
            await room.do(int)
        go.set()
        while room.inside:
            await asyncio.sleep(0.01)
        assert await room.do(int, "7") == 7
        room.close()

    asyncio.run(ask())


def test_a_failure_in_a_room_is_told_to_who_asked():
    async def ask():
        room = Room("test", 1, 1)
        with pytest.raises(ValueError, match="invalid literal"):
            await room.do(int, "x")
        room.close()

    asyncio.run(ask())
