"""The saga engine."""

from alembic import op

revision = "0030"
down_revision = "0001"

_STATEMENTS = (
    """
    CREATE TABLE run_shards (
        id INTEGER PRIMARY KEY,
        owner TEXT,
        epoch INTEGER NOT NULL
    )
    """,
    """
    INSERT INTO run_shards (id, owner, epoch)
        VALUES (0, NULL, 0), (1, NULL, 0), (2, NULL, 0), (3, NULL, 0)
    """,
    """
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL UNIQUE,
        namespace TEXT NOT NULL,
        workflow_id TEXT NOT NULL,
        type TEXT NOT NULL,
        shard_id INTEGER NOT NULL,
        request_id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        status TEXT NOT NULL,
        is_open INTEGER NOT NULL,
        runnable_at INTEGER,
        local_pending INTEGER NOT NULL,
        is_parked INTEGER NOT NULL,
        data BLOB NOT NULL
    )
    """,
    """
    CREATE UNIQUE INDEX runs_open ON runs (namespace, workflow_id) WHERE is_open
    """,
    """
    CREATE UNIQUE INDEX runs_by_request ON runs (namespace, workflow_id, request_id)
        WHERE request_id <> ''
    """,
    """
    CREATE INDEX runs_by_workflow ON runs (workflow_id, namespace, is_open, number)
    """,
    """
    CREATE INDEX runs_by_type ON runs (type, number)
    """,
    """
    CREATE INDEX runs_by_status ON runs (status, number)
    """,
    """
    CREATE INDEX runs_parked ON runs (number) WHERE is_parked
    """,
    """
    CREATE INDEX runs_pending ON runs (run_id) WHERE local_pending AND is_open
    """,
    """
    CREATE TABLE run_history (
        run_id TEXT NOT NULL,
        seq INTEGER NOT NULL,
        command_id INTEGER,
        kind TEXT NOT NULL,
        at INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (run_id, seq)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE run_inbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL,
        key TEXT NOT NULL,
        kind TEXT NOT NULL,
        at INTEGER NOT NULL,
        data BLOB NOT NULL,
        is_unread INTEGER NOT NULL DEFAULT 1,
        UNIQUE (run_id, key)
    )
    """,
    """
    CREATE INDEX run_inbox_unread ON run_inbox (run_id, id) WHERE is_unread
    """,
    """
    CREATE TABLE run_timers (
        run_id TEXT NOT NULL,
        command_id INTEGER NOT NULL,
        shard_id INTEGER NOT NULL,
        fire_at INTEGER NOT NULL,
        PRIMARY KEY (run_id, command_id)
    ) WITHOUT ROWID
    """,
    """
    CREATE INDEX run_timers_due ON run_timers (shard_id, fire_at)
    """,
    """
    CREATE TABLE run_tasks (
        task_id TEXT PRIMARY KEY,
        run_id TEXT NOT NULL,
        command_id INTEGER NOT NULL,
        shard_id INTEGER NOT NULL,
        queue TEXT NOT NULL,
        priority INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        is_queued INTEGER NOT NULL,
        available_at INTEGER NOT NULL,
        due_at INTEGER,
        cancel_requested INTEGER NOT NULL,
        data BLOB NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE INDEX run_tasks_by_run ON run_tasks (run_id, command_id)
    """,
    """
    CREATE INDEX run_tasks_claimable ON run_tasks (queue, priority DESC, available_at)
        WHERE is_queued AND NOT cancel_requested
    """,
    """
    CREATE INDEX run_tasks_due ON run_tasks (shard_id, due_at)
    """,
    """
    CREATE INDEX run_tasks_unwanted ON run_tasks (shard_id) WHERE cancel_requested AND is_queued
    """,
    """
    CREATE INDEX run_tasks_available ON run_tasks (shard_id, available_at) WHERE is_queued
    """,
    """
    CREATE TABLE run_outbox (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        topic TEXT NOT NULL,
        run_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        data BLOB NOT NULL
    )
    """,
)


def upgrade() -> None:
    """Makes the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)
