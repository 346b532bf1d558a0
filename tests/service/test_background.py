"""What takes long: begun once, waited for a while, told to come again, forgotten with its model."""

import asyncio
import threading

import pytest

from macrid.service.background import Background
from macrid.service.problems import Busy


def test_work_is_done_once_for_each_model():
    done = []

    async def ask():
        behind = Background()
        for digest in ("a", "a", "b", "b"):
            assert await behind.get("the sum", digest, work, digest) == f"{digest}!"
        behind.close()

    def work(digest):
        done.append(digest)
        return f"{digest}!"

    asyncio.run(ask())
    assert done == ["a", "b"]


def test_who_asks_too_early_is_told_when_to_come_again_and_other_work_goes_on():
    leave = threading.Event()

    async def ask():
        behind = Background(patience=0.05)
        with pytest.raises(Busy, match="the map of this model is being worked out") as told:
            await behind.get("the map", "a", leave.wait)
        assert told.value.headers == {"Retry-After": "3"}
        assert await behind.get("the dials", "a", int) == 0
        leave.set()
        behind.patience = 5
        assert await behind.get("the map", "a", leave.wait) is True
        behind.close()

    asyncio.run(ask())


def test_what_fails_is_told_and_tried_again():
    attempts = []

    def work():
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("the disk is full")
        return "drawn"

    async def ask():
        behind = Background()
        with pytest.raises(ValueError, match="full"):
            await behind.get("the map", "a", work)
        assert await behind.get("the map", "a", work) == "drawn"
        behind.close()

    asyncio.run(ask())


def test_an_early_askers_failure_is_told_to_the_next():
    leave = threading.Event()

    def work():
        leave.wait(5)
        raise ValueError("the disk is full")

    async def ask():
        behind = Background(patience=0.05)
        with pytest.raises(Busy):
            await behind.get("the map", "a", work)
        leave.set()
        behind.patience = 5
        with pytest.raises(ValueError, match="full"):
            await behind.get("the map", "a", work)
        behind.close()

    asyncio.run(ask())
