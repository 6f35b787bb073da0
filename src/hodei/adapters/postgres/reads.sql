-- Reads of events, queue and workers. Those named `pick_…` choose positions of jobs, and
-- `picked_jobs` then gives all that makes up these jobs, in one statement and so of one moment.

-- name: events_after
SELECT position, stream, version, type, type_version, data, at, correlation_id, causation_id
FROM events WHERE position > $1 ORDER BY position LIMIT $2

-- name: events_of_streams_after
SELECT position, stream, version, type, type_version, data, at, correlation_id, causation_id
FROM events WHERE stream = ANY($3::text[]) AND position > $1 ORDER BY position LIMIT $2

-- name: last_position
SELECT coalesce(max(position), 0) FROM events

-- name: picked_jobs
-- Rows of jobs have number 0, with the first event beside them; the others are attempts.
SELECT job.position, 0 AS number, job.data, event.type, event.type_version, event.data AS created
FROM picked JOIN jobs AS job USING (position) JOIN events AS event USING (position)
UNION ALL
SELECT attempt.job, attempt.number, attempt.data, NULL, NULL, NULL
FROM picked JOIN attempts AS attempt ON attempt.job = picked.position

-- name: pick_by_id
SELECT position FROM jobs WHERE id = ANY($1::text[])

-- name: pick_claimable
-- The first of each demand ($1), then the first of all ($2), of what is nobody's: what another holder
-- than this one ($3) has reserved, or is just reserving or changing, is passed over; the rest is this
-- one's for some seconds ($4), by the database's time.
WITH chosen AS MATERIALIZED (
    SELECT queued.position
    FROM (SELECT DISTINCT unnest($1::text[]) AS demand_id) AS wanted CROSS JOIN LATERAL (
        SELECT job.position, job.priority FROM jobs AS job
        WHERE job.state = 'QUEUED' AND job.demand_id = wanted.demand_id AND (
            job.reserved_until IS NULL OR job.reserved_until < clock_timestamp()
            OR job.reserved_by = $3
        )
        ORDER BY job.priority DESC, job.position LIMIT $2
        FOR UPDATE SKIP LOCKED
    ) AS queued
    ORDER BY queued.priority DESC, queued.position LIMIT $2
)
UPDATE jobs SET reserved_by = $3, reserved_until = clock_timestamp() + $4::interval
FROM chosen WHERE jobs.position = chosen.position
RETURNING jobs.position

-- name: pick_held
SELECT position FROM jobs WHERE worker_id IS NOT NULL

-- name: pick_held_by
SELECT position FROM jobs WHERE worker_id = $1

-- name: pick_due
SELECT position FROM jobs WHERE due_at <= $1 ORDER BY due_at, position LIMIT $2

-- name: next_due
SELECT min(due_at) FROM jobs WHERE due_at IS NOT NULL

-- name: queued_demands
SELECT demand.id, demand.data, demand.queued, head.id
FROM demands AS demand CROSS JOIN LATERAL (
    SELECT job.id, job.priority, job.position FROM jobs AS job
    WHERE job.state = 'QUEUED' AND job.demand_id = demand.id
    ORDER BY job.priority DESC, job.position LIMIT 1
) AS head
WHERE demand.queued > 0
ORDER BY head.priority DESC, head.position

-- name: worker_by_id
SELECT data FROM workers WHERE id = $1

-- name: workers_before
SELECT position, data FROM workers WHERE position < $1 ORDER BY position DESC LIMIT $2

-- name: living_workers_before
SELECT position, data FROM workers
WHERE NOT has_ended AND position < $1 ORDER BY position DESC LIMIT $2

-- name: living_workers
SELECT data FROM workers WHERE NOT has_ended ORDER BY position
