"""Events and controls, on the disk when they are acknowledged; histories, newest first."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_sqlite

from macrid.control.controls import Controls
from macrid.service.storage.engine import open_engine, using
from macrid.service.storage.errors import KeyReused, StoreError
from macrid.service.storage.migrate import migrate
from macrid.service.storage.tables import ControlsRow, EventRow, KeyRow

MOST = 1_000  # events of a history that are read
REMEMBERED = 7 * 24 * 3600.0  # seconds that an idempotency key is known for
_INSERTS = {"sqlite": insert_sqlite, "postgresql": insert_postgresql}


@dataclass(frozen=True)
class StoredEvent:
    """Somebody had something.

    Attributes:
        user_id: As text.
        item_id: As it came.
        weight: If it had one.
        timestamp: Unix seconds; None becomes the time at which it is stored.
    """

    user_id: str
    item_id: int | str
    weight: float | None = None
    timestamp: float | None = None


class Store:
    """What is remembered, in a database.

    Args:
        url: Of the database; see `open_engine`.

    Raises:
        StoreError: If it cannot be used.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = Store(f"sqlite:///{folder}/store.sqlite")
        ...     _ = store.add([StoredEvent("ada", "a", timestamp=1), StoredEvent("ada", 7)])
        ...     store.items("ada")
        ...     store.close()
        [7, 'a']
    """

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        try:
            migrate(self.engine)
            self.forget_keys()
        except StoreError:
            self.close()
            raise

    def add(
        self, events: Sequence[StoredEvent], key: str | None = None, client: str = ""
    ) -> tuple[int, bool]:
        """Keep events; when this returns they are on the disk.

        Args:
            events: In the order in which they happened, where they have no times.
            key: The same request with the same key adds nothing twice.
            client: Whose key it is.

        Returns:
            How many were added, and whether that was before.

        Raises:
            KeyReused: If the key came with other events before.
            StoreError: If they could not be kept.
        """
        now = time.time()
        with using(self.engine, writes=True) as connection:
            if key is not None:
                known = self._known(connection, _digest([client, key]), events, now)
                if known is not None:
                    return known, True
            rows = [
                {
                    "user_id": event.user_id,
                    "item_id": str(event.item_id),
                    "item_is_number": isinstance(event.item_id, int),
                    "weight": event.weight,
                    "timestamp": now if event.timestamp is None else event.timestamp,
                }
                for event in events
            ]
            connection.execute(insert(EventRow), rows)
        return len(rows), False

    def history(self, user_id: str, limit: int = MOST) -> list[StoredEvent]:
        """Somebody's events, newest first, ``MOST`` at most."""
        table = EventRow
        query = (
            select(table.item_id, table.item_is_number, table.weight, table.timestamp)
            .where(table.user_id == user_id)
            .order_by(table.timestamp.desc(), table.id.desc())
            .limit(min(limit, MOST))
        )
        with using(self.engine) as connection:
            rows = connection.execute(query).all()
        return [
            StoredEvent(user_id, int(item) if number else item, weight, timestamp)
            for item, number, weight, timestamp in rows
        ]

    def items(self, user_id: str, limit: int = MOST) -> list[int | str]:
        """What somebody had, newest first, each once."""
        return list(dict.fromkeys(event.item_id for event in self.history(user_id, limit)))

    def save_controls(self, user_id: str, controls: Controls, model: str) -> None:
        """Keep what somebody asks of a model's lists, in place of what they asked before."""
        kept = {"controls": controls.model_dump_json(), "model": model, "updated": time.time()}
        with using(self.engine, writes=True) as connection:
            row = self._insert(connection)(ControlsRow).values(user_id=user_id, **kept)
            connection.execute(row.on_conflict_do_update(index_elements=["user_id"], set_=kept))

    def controls(self, user_id: str) -> tuple[Controls, str | None] | None:
        """What somebody asks of every list, and of which model; None if they never said.

        Raises:
            ControlError: If a newer macrid has saved what this one does not know.
        """
        with using(self.engine) as connection:
            asked = select(ControlsRow.controls, ControlsRow.model)
            found = connection.execute(asked.where(ControlsRow.user_id == user_id)).first()
        return None if found is None else (Controls.of_json(found.controls), found.model)

    def forget_keys(self) -> None:
        """Those of requests that nobody will repeat any more."""
        old = KeyRow.created < time.time() - REMEMBERED
        with using(self.engine, writes=True) as connection:
            connection.execute(delete(KeyRow).where(old))

    def check(self) -> None:
        """Make sure that the database answers.

        Raises:
            StoreError: If it does not.
        """
        with using(self.engine) as connection:
            connection.execute(select(1))

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def _known(
        self, connection: Connection, key: str, events: Sequence[StoredEvent], now: float
    ) -> int | None:
        """How many events a key added before; if none, it is known from now on.

        Whoever comes with the same key meanwhile waits here for this transaction.
        """
        request = _digest([asdict(event) for event in events])
        values = {"key": key, "request": request, "added": len(events), "created": now}
        row = self._insert(connection)(KeyRow).values(**values).on_conflict_do_nothing()
        if connection.scalar(row.returning(KeyRow.key)) is not None:
            return None
        query = select(KeyRow.request, KeyRow.added).where(KeyRow.key == key)
        before, added = connection.execute(query).one()
        if before != request:
            raise KeyReused(
                "the Idempotency-Key came with other events before; a new request needs a new key"
            )
        return added

    @staticmethod
    def _insert(connection: Connection) -> Any:
        """The INSERT that knows of conflicts."""
        return _INSERTS[connection.dialect.name]


def _digest(value: Any) -> str:
    """Of a JSON value."""
    return hashlib.sha256(to_json(value)).hexdigest()
