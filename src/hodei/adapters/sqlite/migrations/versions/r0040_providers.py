"""What operators decide about providers."""

from alembic import op

revision = "0040"
down_revision = "0030"


def upgrade() -> None:
    """Makes the table."""
    op.execute(
        """
        CREATE TABLE providers (
            name TEXT PRIMARY KEY,
            version INTEGER NOT NULL,
            data TEXT NOT NULL
        ) WITHOUT ROWID
        """
    )
