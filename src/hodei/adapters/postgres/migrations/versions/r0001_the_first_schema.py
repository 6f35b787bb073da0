"""The first schema.

Texts that are compared and never sorted for people have the collation "C": their indices compare
bytes. There are no foreign keys: one committer writes all rows of a job together, and each would
cost a look-up for each row. Times are microseconds since 1970 in UTC, as in the events.
"""

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = (
    # All events of all streams, in the one order in which they were committed.
    """
    CREATE TABLE events (
        position bigint PRIMARY KEY,
        stream text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        type text COLLATE "C" NOT NULL,
        type_version integer NOT NULL,
        data bytea NOT NULL,
        at bigint NOT NULL,
        correlation_id text COLLATE "C" NOT NULL,
        causation_id text COLLATE "C" NOT NULL,
        UNIQUE (stream, version)
    )
    """,
    # The last position that was given. Written only under the lock of commits, so that it never
    # falls behind the events, not even once the newest of them have been deleted.
    """
    CREATE SEQUENCE event_positions MINVALUE 0 START 0 OWNED BY events.position
    """,
    # Jobs as they are now. `position` is that of the job's first event: it orders lists and the
    # queue, and the definition is read there.
    """
    CREATE TABLE jobs (
        position bigint PRIMARY KEY,
        id text COLLATE "C" NOT NULL UNIQUE,
        version bigint NOT NULL,
        name text COLLATE "C" NOT NULL,
        searched text COLLATE "C" NOT NULL,
        state text COLLATE "C" NOT NULL,
        priority integer NOT NULL,
        demand_id text COLLATE "C" NOT NULL,
        created_at bigint NOT NULL,
        due_at bigint,
        worker_id text COLLATE "C",
        data bytea NOT NULL,
        reserved_by text COLLATE "C",
        reserved_until timestamptz
    ) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02)
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
        job bigint NOT NULL,
        number integer NOT NULL,
        data bytea NOT NULL,
        PRIMARY KEY (job, number)
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE TABLE job_labels (
        key text COLLATE "C" NOT NULL,
        value text COLLATE "C" NOT NULL,
        job bigint NOT NULL,
        PRIMARY KEY (key, value, job)
    )
    """,
    """
    CREATE INDEX job_labels_by_job ON job_labels (job)
    """,
    """
    CREATE TABLE job_tags (
        tag text COLLATE "C" NOT NULL,
        job bigint NOT NULL,
        PRIMARY KEY (tag, job)
    )
    """,
    """
    CREATE INDEX job_tags_by_job ON job_tags (job)
    """,
    # What jobs ask of workers, each kind once, with how many jobs of it are queued now: counting
    # them anew for every look at a long queue would be a scan.
    """
    CREATE TABLE demands (
        id text COLLATE "C" PRIMARY KEY,
        data bytea NOT NULL,
        queued bigint NOT NULL
    ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02)
    """,
    """
    CREATE INDEX demands_queued ON demands (id) WHERE queued > 0
    """,
    # Workers as they are now; `position` as with jobs.
    """
    CREATE TABLE workers (
        position bigint PRIMARY KEY,
        id text COLLATE "C" NOT NULL UNIQUE,
        version bigint NOT NULL,
        has_ended boolean NOT NULL,
        data bytea NOT NULL
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE INDEX workers_living ON workers (position) WHERE NOT has_ended
    """,
    # One row. While a release is being rolled out, servers of the one before go on and may start
    # again, on the schema of the new one: this says of which they may still be.
    """
    CREATE TABLE hodei_schema (oldest_usable text NOT NULL)
    """,
    # The schema whose servers are the oldest that may run on this one: itself.
    """
    INSERT INTO hodei_schema (oldest_usable) VALUES ('0001')
    """,
)


def upgrade() -> None:
    """Makes everything."""
    for statement in _STATEMENTS:
        op.execute(statement)
