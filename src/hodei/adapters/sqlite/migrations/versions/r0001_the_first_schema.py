"""The first schema."""

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = (
    """
    CREATE TABLE events (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        type TEXT NOT NULL,
        type_version INTEGER NOT NULL,
        data BLOB NOT NULL,
        at INTEGER NOT NULL,
        correlation_id TEXT NOT NULL,
        causation_id TEXT NOT NULL,
        UNIQUE (stream, version)
    )
    """,
    """
    CREATE TABLE jobs (
        position INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        version INTEGER NOT NULL,
        name TEXT NOT NULL,
        searched TEXT NOT NULL,
        state TEXT NOT NULL,
        priority INTEGER NOT NULL,
        demand_id TEXT NOT NULL REFERENCES demands (id),
        created_at INTEGER NOT NULL,
        due_at INTEGER,
        worker_id TEXT,
        data BLOB NOT NULL
    )
    """,
    """
    CREATE INDEX jobs_queue ON jobs (demand_id, priority DESC, position) WHERE state = 'QUEUED'
    """,
    """
    CREATE INDEX jobs_by_state ON jobs (state, position)
    """,
    """
    CREATE INDEX jobs_by_name ON jobs (name, position) WHERE name <> ''
    """,
    """
    CREATE INDEX jobs_by_creation ON jobs (created_at)
    """,
    """
    CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL
    """,
    """
    CREATE INDEX jobs_held ON jobs (worker_id) WHERE worker_id IS NOT NULL
    """,
    """
    CREATE TABLE attempts (
        job INTEGER NOT NULL REFERENCES jobs (position) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (job, number)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE job_labels (
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        job INTEGER NOT NULL REFERENCES jobs (position) ON DELETE CASCADE,
        PRIMARY KEY (key, value, job)
    ) WITHOUT ROWID
    """,
    """
    CREATE INDEX job_labels_by_job ON job_labels (job)
    """,
    """
    CREATE TABLE job_tags (
        tag TEXT NOT NULL,
        job INTEGER NOT NULL REFERENCES jobs (position) ON DELETE CASCADE,
        PRIMARY KEY (tag, job)
    ) WITHOUT ROWID
    """,
    """
    CREATE INDEX job_tags_by_job ON job_tags (job)
    """,
    """
    CREATE TABLE demands (
        id TEXT PRIMARY KEY,
        data BLOB NOT NULL,
        queued INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE INDEX demands_queued ON demands (id) WHERE queued > 0
    """,
    """
    CREATE TABLE workers (
        position INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        version INTEGER NOT NULL,
        has_ended INTEGER NOT NULL,
        data BLOB NOT NULL
    )
    """,
    """
    CREATE INDEX workers_living ON workers (position) WHERE has_ended = 0
    """,
    # "Hode": marks the file as ours.
    "PRAGMA application_id = 1215259749",
)


def upgrade() -> None:
    """Makes everything."""
    for statement in _STATEMENTS:
        op.execute(statement)
