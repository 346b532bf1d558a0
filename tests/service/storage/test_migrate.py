import threading

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from macrid.control.controls import Controls
from macrid.service.storage.engine import open_engine, using
from macrid.service.storage.errors import StoreError
from macrid.service.storage.migrate import VERSION_TABLE, _config, current, migrate
from macrid.service.storage.store import Store
from macrid.service.storage.tables import Base


@pytest.fixture
def engine(url):
    opened = open_engine(url)
    yield opened
    opened.dispose()


def test_migrations_make_the_tables_that_the_code_reads(engine):
    migrate(engine)
    with engine.connect() as connection:
        options = {"version_table": VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
        assert current(connection) == "2"


def test_what_an_older_macrid_kept_is_still_there(engine, url):
    with using(engine, writes=True) as connection:
        command.upgrade(_config(connection), "1")
        row = "INSERT INTO macrid_controls VALUES ('ada', '{\"diversity\": 0.5}', 1.0)"
        connection.execute(text(row))
    store = Store(url)
    assert store.controls("ada") == (Controls(diversity=0.5), None)
    store.close()


def test_other_peoples_tables_are_left_alone(engine):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE clicks (person TEXT)"))
    migrate(engine)
    migrate(engine)  # and again, which does nothing
    mine = {*Base.metadata.tables, VERSION_TABLE}
    assert set(inspect(engine).get_table_names()) == {"clicks", *mine}


def test_many_processes_may_begin_at_once(url):
    failed, start = [], threading.Barrier(6)

    def begin():
        engine = open_engine(url)
        start.wait()
        try:
            migrate(engine)
        except Exception as error:  # noqa: BLE001
            failed.append(error)
        engine.dispose()

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_tables_of_a_newer_macrid_are_refused(engine):
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '99'"))
    with pytest.raises(StoreError, match="update macrid"):
        migrate(engine)
