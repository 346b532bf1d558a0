"""Bringing a database to the tables of this macrid, by Alembic; one process at a time."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text

from macrid.service.storage.engine import using
from macrid.service.storage.errors import StoreError, first_line

VERSION_TABLE = "macrid_version"  # beside other people's tables
_LOCK = 0x6D616372  # "macr"; of PostgreSQL's advisory locks


def migrate(engine: Engine) -> None:
    """Make what is missing; of a database that is up to date, nothing is changed.

    Raises:
        StoreError: If the database cannot be used, or a newer macrid has been at it.
    """
    with using(engine, writes=True) as connection:  # SQLite has one writer at a time
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config = _config(connection)
        if current(connection) == ScriptDirectory.from_config(config).get_current_head():
            return
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(
                f"the store has tables that this macrid does not know ({first_line(error)}); "
                "update macrid"
            ) from error


def current(connection: Connection) -> str | None:
    """The version of the tables; none if there are none."""
    options = {"version_table": VERSION_TABLE}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def _config(connection: Connection) -> Config:
    """Alembic's, for the migrations in this package."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    return config
