"""The output of jobs."""

from alembic import op

revision = "0010"
down_revision = "0001"

_STATEMENTS = (
    # Up to where each job's output is stored. `ends` says it for each stream, as JSON; who appends
    # says what `sequence` it has read, and writes only where that is still so.
    """
    CREATE TABLE log_jobs (
        job_id text COLLATE "C" PRIMARY KEY,
        previous bigint NOT NULL,
        sequence bigint NOT NULL,
        ends text COLLATE "C" NOT NULL,
        loose integer NOT NULL,
        compacted_to bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)
    """,
    # Runs of chunks of one attempt. `sequence` is that of the last byte, `stdout_end` and
    # `stderr_end` say how far the attempt's streams are with this row.
    """
    CREATE TABLE log_segments (
        job_id text COLLATE "C" NOT NULL,
        sequence bigint NOT NULL,
        length integer NOT NULL,
        attempt integer NOT NULL,
        stdout_end bigint NOT NULL,
        stderr_end bigint NOT NULL,
        stored_at bigint NOT NULL,
        format smallint NOT NULL,
        size integer NOT NULL,
        data bytea NOT NULL,
        PRIMARY KEY (job_id, sequence)
    ) WITH (
        autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02
    )
    """,
    # It is compressed already where that is worth it.
    """
    ALTER TABLE log_segments ALTER COLUMN data SET STORAGE EXTERNAL
    """,
    # For retention: what is old, and how much there is, without the rows themselves.
    """
    CREATE INDEX log_segments_by_age ON log_segments (stored_at) INCLUDE (size)
    """,
)


def upgrade() -> None:
    """Makes the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)
