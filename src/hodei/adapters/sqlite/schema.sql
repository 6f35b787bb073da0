-- The schema of a fresh database. The migrations lead to the same one, which a test compares.

-- All events of all streams, in the one order in which they were committed.
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
);

-- Jobs as they are now. `position` is that of the job's first event: it orders lists and the
-- queue, and the definition is read there. Times are microseconds since 1970 in UTC.
CREATE TABLE jobs (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    -- Id and name with their case folded, which SQLite can do for ASCII only.
    searched TEXT NOT NULL,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL,
    demand_id TEXT NOT NULL REFERENCES demands (id),
    created_at INTEGER NOT NULL,
    -- The earlier of its not_before and its deadline; null once it has ended.
    due_at INTEGER,
    -- Who holds it now.
    worker_id TEXT,
    data BLOB NOT NULL
);

CREATE INDEX jobs_queue ON jobs (demand_id, priority DESC, position) WHERE state = 'QUEUED';
CREATE INDEX jobs_by_state ON jobs (state, position);
CREATE INDEX jobs_by_name ON jobs (name, position) WHERE name <> '';
CREATE INDEX jobs_by_creation ON jobs (created_at);
CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_held ON jobs (worker_id) WHERE worker_id IS NOT NULL;

CREATE TABLE attempts (
    job INTEGER NOT NULL REFERENCES jobs (position) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (job, number)
) WITHOUT ROWID;

CREATE TABLE job_labels (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    job INTEGER NOT NULL REFERENCES jobs (position) ON DELETE CASCADE,
    PRIMARY KEY (key, value, job)
) WITHOUT ROWID;

CREATE INDEX job_labels_by_job ON job_labels (job);

CREATE TABLE job_tags (
    tag TEXT NOT NULL,
    job INTEGER NOT NULL REFERENCES jobs (position) ON DELETE CASCADE,
    PRIMARY KEY (tag, job)
) WITHOUT ROWID;

CREATE INDEX job_tags_by_job ON job_tags (job);

-- What jobs ask of workers, each kind once, with how many jobs of it are queued now: counting
-- them anew for every look at a long queue would be a scan.
CREATE TABLE demands (
    id TEXT PRIMARY KEY,
    data BLOB NOT NULL,
    queued INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX demands_queued ON demands (id) WHERE queued > 0;

-- Workers as they are now; `position` as with jobs.
CREATE TABLE workers (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    has_ended INTEGER NOT NULL,
    data BLOB NOT NULL
);

CREATE INDEX workers_living ON workers (position) WHERE has_ended = 0;

-- The saga engine (docs/explanation/durable-execution.md). Shards are fixed when the database is made.
-- Leases are not here: one process uses the database, and what it holds ends with it.
CREATE TABLE run_shards (
    id INTEGER PRIMARY KEY,
    owner TEXT,
    epoch INTEGER NOT NULL
);

INSERT INTO run_shards (id, owner, epoch)
    VALUES (0, NULL, 0), (1, NULL, 0), (2, NULL, 0), (3, NULL, 0);

-- Runs as they are now, ended ones included. `data` is all of the run.
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
);

CREATE UNIQUE INDEX runs_open ON runs (namespace, workflow_id) WHERE is_open;
CREATE UNIQUE INDEX runs_by_request ON runs (namespace, workflow_id, request_id)
    WHERE request_id <> '';
CREATE INDEX runs_by_workflow ON runs (workflow_id, namespace, is_open, number);
CREATE INDEX runs_by_type ON runs (type, number);
CREATE INDEX runs_by_status ON runs (status, number);
CREATE INDEX runs_parked ON runs (number) WHERE is_parked;
CREATE INDEX runs_pending ON runs (run_id) WHERE local_pending AND is_open;

CREATE TABLE run_history (
    run_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    command_id INTEGER,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;

-- What was delivered: unread in order of `id`; read ones without data, as keys that stay known.
CREATE TABLE run_inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    data BLOB NOT NULL,
    is_unread INTEGER NOT NULL DEFAULT 1,
    UNIQUE (run_id, key)
);

CREATE INDEX run_inbox_unread ON run_inbox (run_id, id) WHERE is_unread;

CREATE TABLE run_timers (
    run_id TEXT NOT NULL,
    command_id INTEGER NOT NULL,
    shard_id INTEGER NOT NULL,
    fire_at INTEGER NOT NULL,
    PRIMARY KEY (run_id, command_id)
) WITHOUT ROWID;

CREATE INDEX run_timers_due ON run_timers (shard_id, fire_at);

-- Activities on their way. A request to cancel is in its columns before it is in `data`.
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
) WITHOUT ROWID;

CREATE INDEX run_tasks_by_run ON run_tasks (run_id, command_id);
CREATE INDEX run_tasks_claimable ON run_tasks (queue, priority DESC, available_at)
    WHERE is_queued AND NOT cancel_requested;
CREATE INDEX run_tasks_due ON run_tasks (shard_id, due_at);
CREATE INDEX run_tasks_unwanted ON run_tasks (shard_id) WHERE cancel_requested AND is_queued;
CREATE INDEX run_tasks_available ON run_tasks (shard_id, available_at) WHERE is_queued;

CREATE TABLE run_outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    run_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    data BLOB NOT NULL
);

-- What operators decided about providers. `data` is all of it, as JSON.
CREATE TABLE providers (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    data TEXT NOT NULL
) WITHOUT ROWID;

-- Where Alembic keeps the revision of the schema.
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
