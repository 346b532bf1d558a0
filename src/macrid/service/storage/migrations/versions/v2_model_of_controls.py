"""Which model saved controls were made for."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Of those that are there, nobody knows."""
    op.add_column("macrid_controls", sa.Column("model", sa.String(64)))
