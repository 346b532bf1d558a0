"""What Alembic runs: the changes, in the transaction of whoever called."""

from alembic import context

from macrid.service.storage.migrate import VERSION_TABLE
from macrid.service.storage.tables import Base

if hasattr(context, "config"):  # Alembic runs this file; whoever imports it runs nothing
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Base.metadata,
        version_table=VERSION_TABLE,
    )
    with context.begin_transaction():
        context.run_migrations()
