"""`macrid serve` before it serves: what it refuses, and the store it brings up to date."""

import socket
import sys

import pytest

from macrid.cli.app import run
from macrid.cli.serve import bind_page, page_wanted
from macrid.errors import MissingExtra
from macrid.page import launch
from macrid.service.storage.store import Store, StoredEvent
from planted import fitted


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "ease"
    fitted("ease").save(path)
    return path


def refused(words, capsys, status=2):
    """The sentence of a command that must be refused."""
    assert run([str(word) for word in ["serve", *words]]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", 0], "workers is 0"),
        (["--rate-limit", 0], "rate_limit is 0"),
        (["--history-url", "sqlite://"], "--history-url is of no use without --history-query"),
        (["--history-query", "SELECT 1"], "has no parameter :user_id"),
        (["--store", "nonsense"], "is no store; give sqlite:///file or postgresql://"),
        (["--api-key-file", "none"], "cannot read the API keys in none"),
        (["--no-page", "--page-port", 1], "--page-port is of no use with --no-page"),
    ],
)
def test_what_cannot_be_served_is_refused(folder, capsys, words, said):
    assert said in refused([folder, "--port", 0, *words], capsys)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_without_a_model_is_refused(tmp_path, capsys, workers):
    said = refused([tmp_path / "none", "--port", 0, "--workers", workers], capsys)
    assert "there is no model folder" in said


def test_an_address_that_is_taken_is_a_sentence(folder, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} of 127.0.0.1 is taken" in refused([folder, "--port", port], capsys, 1)
        words = [folder, "--port", 0, "--page-port", port]
        assert f"port {port} of 127.0.0.1 is taken" in refused(words, capsys, 1)


def test_the_next_port_is_the_pages_or_else_a_free_one():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with bind_page("127.0.0.1", port - 1, None) as found:
            assert found.getsockname()[1] not in (port, 0)


def test_without_nicegui_there_is_no_page_and_a_word(capsys, monkeypatch):
    monkeypatch.setattr(launch, "installed", lambda: False)
    assert not page_wanted(None, None, [])
    assert "nicegui is not installed: pip install 'macrid[ui]'" in capsys.readouterr().err
    assert not page_wanted(False, None, [])
    for asked in [(True, None), (None, 8001)]:
        with pytest.raises(MissingExtra, match=r"macrid\[ui\]"):
            page_wanted(*asked, [])


def test_a_key_is_lent_only_if_that_is_asked_for(capsys):
    assert page_wanted(None, None, [])
    assert not page_wanted(None, None, ["a key"])
    assert "--page does so" in capsys.readouterr().err
    assert page_wanted(True, None, ["a key"])
    assert page_wanted(None, 8001, ["a key"])


def test_a_store_is_brought_up_to_date_without_serving(folder, tmp_path, capsys):
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    assert run(["serve", str(folder), "--store", url, "--migrate-only"]) == 0
    assert "is up to date" in capsys.readouterr().err
    store = Store(url)
    assert store.add([StoredEvent("ada", "a")]) == (1, False)
    store.close()


def test_without_the_extra_the_line_that_installs_it_is_told(folder, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "macrid.service.connections", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install 'macrid[serve]'" in refused([folder, "--port", 0], capsys)
