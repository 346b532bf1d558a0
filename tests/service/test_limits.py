"""Keys, rates, sizes and times; what is told, and what is logged."""

import asyncio
import logging
import time

import pytest

from asking import refused, serving
from macrid.service import answers

KEY, OTHER = "a key that nobody guesses", "another key of that kind"
ASKED = {"history": ["0-01"], "k": 2}


@pytest.fixture
def locked(folder, tmp_path):
    """A service with two keys and a rate."""
    file = tmp_path / "keys"
    file.write_text(f"# of the shop\n{KEY}\n\n{OTHER}\n")
    with serving(folder, tmp_path / "s.sqlite", key_file=file, rate_limit=3) as client:
        yield client


class TestKeys:
    @pytest.mark.parametrize("key", [KEY, OTHER])
    @pytest.mark.parametrize("form", ["X-API-Key", "Authorization"])
    def test_each_opens_by_either_header(self, locked, key, form):
        value = f"Bearer {key}" if form == "Authorization" else key
        assert locked.post("/v1/recommend", ASKED, headers={form: value}).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer "}, {"X-API-Key": KEY[:-1]}],
    )
    @pytest.mark.parametrize("route", ["/v1/concepts", "/metrics", "/openapi.json", "/nothing"])
    def test_without_one_nothing_is_told(self, locked, headers, route):
        answer = locked.get(route, headers=headers)
        assert "the API key is missing or wrong" in refused(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"

    def test_health_is_for_anybody(self, locked):
        assert locked.get("/health/live").json() == {"status": "live"}
        assert locked.get("/health/ready").json()["status"] == "ready"


def test_who_asks_too_often_is_told_when_to_come_back_and_others_are_served(locked):
    many = [("POST", "/v1/recommend", {"json": ASKED, "headers": {"X-API-Key": KEY}})] * 9
    answers = locked.at_once(many)
    told = [answer for answer in answers if answer.status_code == 429]
    assert 4 <= len(told) <= 6  # three at once, and perhaps one or two while they are answered
    assert "more than 3 requests per second" in refused(told[0], 429)
    assert int(told[0].headers["retry-after"]) >= 1
    other = locked.post("/v1/recommend", ASKED, headers={"X-API-Key": OTHER})
    assert other.status_code == 200


class TestBodies:
    def test_a_long_one_is_refused_by_its_length_before_it_comes(self, client):
        asked = {"content": b"x" * 10_000_000}
        answer = client.request("POST", "/v1/recommend", **asked)
        assert "more than 1,048,576 bytes" in refused(answer, 413)
        assert answer.headers["connection"] == "close"

    def test_one_without_a_length_is_refused_while_it_comes(self, client):
        sent = 0

        async def body():
            nonlocal sent
            for _ in range(1000):
                sent += 1
                yield b"x" * 10_000

        answer = client.request("POST", "/v1/recommend", content=body())
        assert answer.status_code == 413

    def test_one_that_does_not_come_is_waited_for_no_longer(self, folder, tmp_path):
        with serving(folder, tmp_path / "s.sqlite", idle=1) as client:
            parts = [{"type": "http.request", "body": b"{", "more_body": True}]

            async def receive():
                if not parts:
                    await asyncio.sleep(60)
                return parts.pop()

            sent = []

            async def send(message):
                sent.append(message)

            scope = {"type": "http", "method": "POST", "path": "/v1/recommend", "headers": []}
            scope |= {"query_string": b"", "client": None, "http_version": "1.1", "raw_path": b""}
            started = time.monotonic()
            client.portal.call(client.app, scope, receive, send)
            assert sent[0]["status"] == 408
            assert time.monotonic() - started < 10

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"null",
            b"[]",
            b"{",
            b"\xff",
            b"[" * 100_000,
            b'{"history": ["\\ud800"]}',
            b'{"history": [], "controls": {"diversity": NaN}}',
            b'{"history": [], "controls": {"diversity": 1e999}}',
            b'{"history": [], "k": ' + b"9" * 5000 + b"}",
            b'{"history": [], "controls": {"boost": {"0-01": Infinity}}}',
        ],
    )
    def test_what_is_no_request_is_a_sentence(self, client, body):
        assert refused(client.request("POST", "/v1/recommend", content=body), 400, 422)

    def test_a_form_is_no_json(self, client):
        answer = client.request("POST", "/v1/recommend", data={"history": "a"})
        assert "send one, as application/json" in refused(answer, 400)


def test_a_full_queue_is_told_to_come_back_while_others_go_on(folder, tmp_path):
    with serving(folder, tmp_path / "s.sqlite", queue=4) as client:
        many = client.at_once([("POST", "/v1/recommend", {"json": ASKED})] * 30)
        statuses = [answer.status_code for answer in many]
        assert {*statuses} == {200, 503}
        full = many[statuses.index(503)]
        assert "are waiting already; try again in a second" in refused(full, 503)
        assert full.headers["retry-after"] == "1"
        assert client.post("/v1/recommend", ASKED).status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "similar", lambda *_: time.sleep(1.5))
    with serving(folder, tmp_path / "s.sqlite", timeout=0.3) as client:
        answer = client.post("/v1/similar", {"items": ["0-01"]})
        assert refused(answer, 503) == "no answer within 0.3 seconds"
        assert client.get("/health/live").status_code == 200


def test_a_bug_tells_nothing_of_itself_and_goes_to_the_log(folder, tmp_path, monkeypatch, caplog):
    def broken(*_):
        raise KeyError("a secret")

    monkeypatch.setattr(answers, "similar", broken)
    with serving(folder, tmp_path / "s.sqlite") as client:
        answer = client.post("/v1/similar", {"items": ["0-01"]})
        assert refused(answer, 500).startswith("something went wrong here")
        assert "secret" not in answer.text
        assert "a secret" in caplog.text


def test_neither_people_nor_what_they_had_are_logged(client, caplog):
    caplog.set_level(logging.DEBUG, "macrid")
    client.get("/v1/users/a-private-person/history")
    client.post("/v1/recommend", {"history": ["0-01", "a-private-item"]})
    client.get("/v1/items/a-private-item")
    assert "private" not in caplog.text
    assert "GET /v1/users/{user_id}/history 200" in caplog.text


def test_the_loop_answers_while_the_model_works(client, monkeypatch):
    monkeypatch.setattr(answers, "similar", lambda *_: time.sleep(0.5) or {})
    started = time.monotonic()
    slow = ("POST", "/v1/similar", {"json": {"items": ["0-01"]}})

    async def ask():
        task = asyncio.create_task(client.asked.request("POST", slow[1], **slow[2]))
        await asyncio.sleep(0.05)
        await client.asked.get("/health/live")
        between = time.monotonic() - started
        await task
        return between

    assert client.portal.call(ask) < 0.4


def test_other_sites_may_ask_only_if_they_are_named(folder, client, tmp_path):
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in client.get("/health/live", headers=asked).headers
    origins = ("https://shop.example",)
    with serving(folder, tmp_path / "s.sqlite", origins=origins) as open_to:
        answer = open_to.request("OPTIONS", "/v1/recommend", headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
