"""What the page says when the service says nothing, or no."""

import asyncio

import httpx
import pytest

from macrid.page.api import Api, Told
from macrid.page.state import State


def told(answer, ask=lambda api: api.encode(["a"])):
    """What is told of an answer; ``answer`` makes one of a request."""

    async def main():
        api = Api("http://service", "a key")
        headers = api.client.headers
        await api.close()
        transport = httpx.MockTransport(answer)  # httpx's own service, of no code of ours
        api.client = httpx.AsyncClient(transport=transport, base_url="http://s", headers=headers)
        try:
            return await ask(api)
        finally:
            await api.close()

    with pytest.raises(Told) as error:
        asyncio.run(main())
    return str(error.value), error.value.again


def late(request):
    raise httpx.ReadTimeout("late", request=request)


def away(request):
    raise httpx.ConnectError("away", request=request)


@pytest.mark.parametrize(
    ("answer", "said", "again"),
    [
        (late, "the service took too long to answer", 2),
        (away, "the service does not answer; is it running?", 2),
        (lambda _: httpx.Response(200, text="<html>"), "the service does not answer", 2),
        (lambda _: httpx.Response(422, json={"detail": "k is 0"}), "k is 0", None),
        (
            lambda _: httpx.Response(503, json={"detail": "busy"}, headers={"Retry-After": "3"}),
            "busy",
            3,
        ),
        (lambda _: httpx.Response(502, json=["no", "object"]), "answered with status 502", None),
    ],
)
def test_what_goes_wrong_is_the_services_sentence_or_one_of_ours(answer, said, again):
    sentence, wait = told(answer)
    assert said in sentence
    assert wait == again


def test_the_key_is_sent_and_only_dials_count_on_the_map():
    asked = []

    def answer(request):
        asked.append(request)
        return httpx.Response(500, json={"detail": "seen"})

    state = State(("a",)).weighed(0, 2).turned((0, "size"), 1)
    assert told(answer, lambda api: api.place(state))[0] == "seen"
    assert asked[0].headers["X-API-Key"] == "a key"
    assert b'"concepts"' not in asked[0].content
    assert b'"shift":1' in asked[0].content
