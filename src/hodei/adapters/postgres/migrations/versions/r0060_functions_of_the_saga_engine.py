"""The functions of the saga engine are the same everywhere.

0030 was changed after installations had run it: they had no `hodei_write_step_0030`, so that a run
that grew alone could not be written.
"""

from alembic import op

from hodei.adapters.postgres.migrations.versions.r0030_the_saga_engine import FUNCTIONS

revision = "0060"
down_revision = "0050"


def upgrade() -> None:
    """Makes them, or makes them anew: what they take and do is the same."""
    for statement in FUNCTIONS:
        op.execute(statement.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))
