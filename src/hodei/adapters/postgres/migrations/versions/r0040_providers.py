"""What operators decide about providers."""

from alembic import op

revision = "0040"
down_revision = "0030"


def upgrade() -> None:
    """Makes the table."""
    op.execute(
        """
        CREATE TABLE providers (
            name text COLLATE "C" PRIMARY KEY,
            version bigint NOT NULL,
            data text NOT NULL
        )
        """
    )
