import pytest

from macrid.errors import SettingsError
from macrid.service.keys import VARIABLE, Buckets, Keys
from macrid.service.problems import Refused

LONG = "sixteen letters or more"


def test_keys_come_from_the_environment_too(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, f"{LONG} of one, {LONG} of two")
    (tmp_path / "keys").write_text(LONG)
    keys = Keys.read(tmp_path / "keys")
    clients = {
        keys.client({b"x-api-key": key.encode()})
        for key in (LONG, f"{LONG} of one", f"{LONG} of two")
    }
    assert len(clients) == 3
    assert not any(LONG in client for client in clients)


def test_without_any_everybody_may_ask(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert Keys.read(None).client({}) == ""


def test_a_short_one_is_refused():
    with pytest.raises(SettingsError, match="shorter than 16 letters"):
        Keys(["hunter2"])


@pytest.mark.parametrize("content", [None, b"", b"# nothing\n", b"\xff"])
def test_a_file_without_keys_is_not_taken_for_leave_to_serve_anybody(tmp_path, content):
    if content is not None:
        (tmp_path / "keys").write_bytes(content)
    with pytest.raises(SettingsError, match=r"holds no API key|cannot read the API keys"):
        Keys.read(tmp_path / "keys")


class TestBuckets:
    def test_fill_by_the_second_up_to_a_seconds_worth(self):
        now = 0.0
        buckets = Buckets(2, clock=lambda: now)
        for later, allowed in [(0, 2), (0.5, 1), (100, 2)]:
            now += later
            for _ in range(allowed):
                buckets.take("ada")
            with pytest.raises(Refused, match="more than 2 requests"):
                buckets.take("ada")

    def test_a_slow_rate_says_how_long_to_wait(self):
        buckets = Buckets(0.1, clock=lambda: 0.0)
        buckets.take("ada")
        with pytest.raises(Refused) as told:
            buckets.take("ada")
        assert told.value.headers == {"Retry-After": "10"}

    def test_of_clients_without_end_some_are_remembered(self):
        buckets = Buckets(1, clock=lambda: 0.0)
        for client in range(10_100):
            buckets.take(str(client))
        assert len(buckets.tokens) == 10_000
