-- What the committer runs, all of it in one transaction for each group of batches.

-- name: begin
-- One group at a time, of all servers: so the order of positions is that in which they commit, and a
-- reader that has seen a position has seen all before it (docs/adr/0003). The level matters: the
-- heads must be read as they are once the lock is there, whatever the database's default is.
BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(448545449321)

-- name: lock
-- The same, within a transaction that has begun.
SELECT pg_advisory_xact_lock(448545449321)

-- name: wait_longer
-- For a client that has much to plan, and is not taken for one that is stopped meanwhile.
SET LOCAL idle_in_transaction_session_timeout = '60s'

-- name: heads
-- Of jobs ($1) and workers ($2), the last position that was given, and whether the server that
-- commits ($3) is a member: whoever takes over from one ends it under the same lock, before.
SELECT 'job' AS kind, id, position, version,
    CASE state WHEN 'QUEUED' THEN demand_id ELSE '' END AS queued_demand
FROM jobs WHERE id = ANY($1::text[])
UNION ALL
SELECT 'worker', id, position, version, '' FROM workers WHERE id = ANY($2::text[])
UNION ALL
SELECT 'last', '', last_value, 0, '' FROM event_positions
UNION ALL
SELECT 'member', id, 0, 0, '' FROM servers WHERE id = $3 AND ended_at IS NULL

-- name: is_stored
-- Whether this very event is at its position.
SELECT EXISTS (
    SELECT 1 FROM events
    WHERE position = $1 AND stream = $2 AND version = $3 AND type = $4 AND type_version = $5
        AND data = $6 AND at = $7 AND correlation_id = $8 AND causation_id = $9
)

-- name: write
-- All tables in one round trip; a table for which there is nothing gets empty arrays. Parts of one
-- statement do not see one another's rows, so that no row may be written by two of them.
WITH put_events AS (
    INSERT INTO events (
        position, stream, version, type, type_version, data, at, correlation_id, causation_id
    )
    SELECT * FROM unnest(
        $1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::integer[], $6::bytea[],
        $7::bigint[], $8::text[], $9::text[]
    )
), put_demands AS (
    INSERT INTO demands (id, data, queued)
    SELECT * FROM unnest($10::text[], $11::bytea[], $12::bigint[])
    ON CONFLICT (id) DO UPDATE SET queued = demands.queued + excluded.queued
), count_demands AS (
    UPDATE demands SET queued = demands.queued + counted.change
    FROM unnest($13::text[], $14::bigint[]) AS counted (id, change)
    WHERE demands.id = counted.id
), put_jobs AS (
    INSERT INTO jobs (
        position, id, version, name, searched, state, priority, demand_id, created_at, due_at,
        worker_id, data
    )
    SELECT * FROM unnest(
        $15::bigint[], $16::text[], $17::bigint[], $18::text[], $19::text[], $20::text[],
        $21::integer[], $22::text[], $23::bigint[], $24::bigint[], $25::text[], $26::bytea[]
    )
), change_jobs AS (
    -- A job that comes back to the queue is anybody's again.
    UPDATE jobs SET
        version = changed.version,
        state = changed.state,
        due_at = changed.due_at,
        worker_id = changed.worker_id,
        data = changed.data,
        reserved_by = NULL,
        reserved_until = NULL
    FROM unnest(
        $27::bigint[], $28::bigint[], $29::text[], $30::bigint[], $31::text[], $32::bytea[]
    ) AS changed (position, version, state, due_at, worker_id, data)
    WHERE jobs.position = changed.position
), put_attempts AS (
    INSERT INTO attempts (job, number, data)
    SELECT * FROM unnest($33::bigint[], $34::integer[], $35::bytea[])
    ON CONFLICT (job, number) DO UPDATE SET data = excluded.data
), put_labels AS (
    INSERT INTO job_labels (job, key, value)
    SELECT * FROM unnest($36::bigint[], $37::text[], $38::text[])
), put_tags AS (
    INSERT INTO job_tags (job, tag)
    SELECT * FROM unnest($39::bigint[], $40::text[]) ON CONFLICT (tag, job) DO NOTHING
), put_workers AS (
    INSERT INTO workers (position, id, version, has_ended, data)
    SELECT * FROM unnest(
        $41::bigint[], $42::text[], $43::bigint[], $44::boolean[], $45::bytea[]
    )
    ON CONFLICT (position) DO UPDATE SET
        version = excluded.version, has_ended = excluded.has_ended, data = excluded.data
)
-- Not undone with the transaction: positions that were given to a commit that failed are left out.
SELECT setval('event_positions', greatest(last_value, $46::bigint)) FROM event_positions
