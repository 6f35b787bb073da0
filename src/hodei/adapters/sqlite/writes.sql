-- What the writer thread runs. The row after VALUES is repeated to write many rows in one step.

-- name: last_position
SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'

-- name: job_heads
-- One row of JSON: each row that sqlite3 steps to costs a wait for the interpreter lock.
SELECT json_group_array(json_array(id, position, version, state, demand_id))
FROM jobs WHERE id IN (SELECT value FROM json_each(?))

-- name: worker_heads
SELECT json_group_array(json_array(id, position, version))
FROM workers WHERE id IN (SELECT value FROM json_each(?))

-- name: insert_events
INSERT INTO events (
    position, stream, version, type, type_version, data, at, correlation_id, causation_id
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: insert_demands
INSERT INTO demands (id, data, queued) VALUES (?, ?, 0) ON CONFLICT (id) DO NOTHING

-- name: upsert_jobs
INSERT INTO jobs (
    position, id, version, name, searched, state, priority, demand_id, created_at, due_at,
    worker_id, data
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (position) DO UPDATE SET
    version = excluded.version,
    state = excluded.state,
    due_at = excluded.due_at,
    worker_id = excluded.worker_id,
    data = excluded.data

-- name: upsert_attempts
INSERT INTO attempts (job, number, data) VALUES (?, ?, ?)
ON CONFLICT (job, number) DO UPDATE SET data = excluded.data

-- name: insert_labels
INSERT INTO job_labels (job, key, value) VALUES (?, ?, ?)

-- name: insert_tags
INSERT INTO job_tags (job, tag) VALUES (?, ?) ON CONFLICT (tag, job) DO NOTHING

-- name: count_queued
UPDATE demands SET queued = queued + ? WHERE id = ?

-- name: upsert_workers
INSERT INTO workers (position, id, version, has_ended, data) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (position) DO UPDATE SET
    version = excluded.version,
    has_ended = excluded.has_ended,
    data = excluded.data
