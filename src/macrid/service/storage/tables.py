"""The tables of a store; `migrations` makes them, and a test holds both together.

A user is known by text, as the address of a route can say nothing else. An item keeps whether it
came as a number, so that it goes out as it came in. Times are Unix seconds.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite numbers rows by themselves only in a column that is called INTEGER.
_Row = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """Of all tables; constraints have names, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"}
    )


class EventRow(Base):
    """Somebody had something."""

    __tablename__ = "macrid_events"

    id: Mapped[int] = mapped_column(_Row, primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(String(256))
    item_id: Mapped[str] = mapped_column(String(256))
    item_is_number: Mapped[bool] = mapped_column(Boolean)
    weight: Mapped[float | None] = mapped_column(Double)
    timestamp: Mapped[float] = mapped_column(Double)

    # In the order in which histories are read.
    __table_args__ = (Index("ix_macrid_events_newest", "user_id", timestamp.desc(), id.desc()),)


class KeyRow(Base):
    """A request to add events that was answered, by its idempotency key."""

    __tablename__ = "macrid_idempotency_keys"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    request: Mapped[str] = mapped_column(String(64))
    added: Mapped[int] = mapped_column(Integer)
    created: Mapped[float] = mapped_column(Double)


class ControlsRow(Base):
    """What somebody asks of every list."""

    __tablename__ = "macrid_controls"

    user_id: Mapped[str] = mapped_column(String(256), primary_key=True)
    controls: Mapped[str] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(String(64))
    updated: Mapped[float] = mapped_column(Double)
