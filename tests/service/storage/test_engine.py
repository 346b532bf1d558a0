import sys

import pytest
from sqlalchemy import text

from macrid.errors import MissingExtra
from macrid.service.storage.engine import open_engine, shown, using
from macrid.service.storage.errors import StoreError


@pytest.mark.parametrize("url", ["nothing", "carrier-pigeon://x", "sqlite:/:/x"])
def test_what_is_no_url_is_refused_with_one_that_is(url):
    with pytest.raises(StoreError, match="postgresql://user@host/database"):
        open_engine(url)


def test_a_driver_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"pip install 'macrid\[serve\]'"):
        open_engine("postgres://me@127.0.0.1/x")


def test_sqlite_acknowledges_what_is_on_the_disk_and_reads_beside_a_writer(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'x.sqlite'}")
    with using(engine) as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2
    with using(engine, writes=True) as writer:
        writer.execute(text("CREATE TABLE t (x)"))
        with using(engine) as reader:
            assert reader.scalar(text("SELECT count(*) FROM sqlite_master")) == 0
    engine.dispose()


def test_what_fails_leaves_nothing_and_says_so(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'x.sqlite'}")

    def write_and_fail():
        with using(engine, writes=True) as connection:
            connection.execute(text("CREATE TABLE t (x)"))
            connection.execute(text("SELECT * FROM missing"))

    with pytest.raises(StoreError, match="cannot be used now: no such table: missing"):
        write_and_fail()
    with using(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM sqlite_master")) == 0
    engine.dispose()


def test_a_password_is_not_shown():
    assert shown("postgresql://me:secret@host/x") == "'postgresql://me:***@host/x'"
    assert shown("no url") == "this"
