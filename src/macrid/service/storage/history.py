"""Histories from a table that people already have, by a query of theirs; nothing is written."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DataError

from macrid.service.storage.engine import open_engine, using
from macrid.service.storage.errors import StoreError


class HistoryQuery:
    """Somebody's items by SQL.

    Args:
        url: Of the database.
        query: Has the parameter ``:user_id``; the first column of its rows is an item, newest
            first. No more rows than are wanted are read.

    Raises:
        StoreError: If the query cannot be asked.
    """

    def __init__(self, url: str, query: str) -> None:
        self.query = text(query.strip().rstrip(";"))
        if "user_id" not in self.query.compile().params:
            raise StoreError("the history query has no parameter :user_id; say WHERE … = :user_id")
        self.engine = open_engine(url, read_only=True)
        try:
            self.items("", 1)  # a misspelt one is refused now, not when somebody asks
        except StoreError:
            self.close()
            raise

    def items(self, user_id: str, limit: int) -> list[int | str]:
        """What somebody had, newest first, each once."""
        try:
            with using(self.engine) as connection:
                stream = connection.execution_options(stream_results=True, max_row_buffer=limit)
                # Always as text: databases compare it with numbers, and numbers not with text.
                with stream.execute(self.query, {"user_id": user_id}) as found:
                    rows = found.fetchmany(limit)
        except StoreError as error:
            if isinstance(error.__cause__, DataError):  # text where the table has numbers: nobody
                return []
            raise
        return list(dict.fromkeys(_id(row[0]) for row in rows if row[0] is not None))

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def _id(value: Any) -> int | str:
    """As macrid has ids."""
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)
