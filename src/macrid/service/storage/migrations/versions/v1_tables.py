"""The first tables: events, idempotency keys, controls."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Make them."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "macrid_events",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("user_id", sa.String(256), nullable=False),
        sa.Column("item_id", sa.String(256), nullable=False),
        sa.Column("item_is_number", sa.Boolean, nullable=False),
        sa.Column("weight", sa.Double),
        sa.Column("timestamp", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_macrid_events"),
    )
    newest = ["user_id", sa.text("timestamp DESC"), sa.text("id DESC")]
    op.create_index("ix_macrid_events_newest", "macrid_events", newest)
    op.create_table(
        "macrid_idempotency_keys",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("added", sa.Integer, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_macrid_idempotency_keys"),
    )
    op.create_table(
        "macrid_controls",
        sa.Column("user_id", sa.String(256), nullable=False),
        sa.Column("controls", sa.Text, nullable=False),
        sa.Column("updated", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_macrid_controls"),
    )
