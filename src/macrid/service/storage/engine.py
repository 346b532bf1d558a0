"""Connections to a database: SQLite at its safest, PostgreSQL by psycopg; errors in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from macrid.errors import MissingExtra
from macrid.service.storage.errors import StoreError, first_line

_PATIENCE = 10  # seconds that one waits for another's lock, or for a connection
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """Connections to a database, made when they are needed.

    Args:
        url: ``sqlite:///file`` or ``postgresql://user@host/database``.
        read_only: Refuse to write.

    Raises:
        StoreError: If it is no such URL.
        MissingExtra: If the driver is not installed.
    """
    try:
        parsed = make_url(url)
        parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        sqlite = parsed.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"pool_pre_ping": True, "pool_timeout": _PATIENCE}
        if sqlite:
            options["connect_args"] = {"timeout": _PATIENCE, "check_same_thread": False}
        else:
            limit = f"-c statement_timeout={_PATIENCE}s"
            options["connect_args"] = {"connect_timeout": _PATIENCE, "options": limit}
        engine = create_engine(parsed, **options)
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(
            f"{shown(url)} is no store; give sqlite:///file or postgresql://user@host/database "
            f"({first_line(error)})"
        ) from None
    except ImportError as error:
        raise MissingExtra(error.name or "the driver", "serve") from None
    if sqlite:
        _prepare_sqlite(engine, read_only=read_only)
        return engine
    return engine.execution_options(postgresql_readonly=True) if read_only else engine


@contextmanager
def using(engine: Engine, *, writes: bool = False) -> Iterator[Connection]:
    """A transaction, whose end is on the disk; what goes wrong is a sentence.

    Raises:
        StoreError: If the database cannot be used.
    """
    try:
        with engine.connect().execution_options(writes=writes) as connection, connection.begin():
            yield connection
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(
            f"the store {shown(str(engine.url))} cannot be used now: {first_line(cause)}"
        ) from error


def _prepare_sqlite(engine: Engine, *, read_only: bool) -> None:
    """Readers beside a writer (WAL), and nothing acknowledged before it is on the disk."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        if read_only:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Who reads first and writes later may find that another has written: a lock from the start.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def shown(url: str) -> str:
    """A URL without its password."""
    try:
        return repr(make_url(url).render_as_string(hide_password=True))
    except ArgumentError:
        return "this"
