-- Reads of events, queue and workers. Those named `pick_…` choose positions of jobs, and
-- `picked_jobs` then gives all that makes up these jobs, in one statement and so of one moment.

-- name: events_after
SELECT position, stream, version, type, type_version, data, at, correlation_id, causation_id
FROM events WHERE position > :after ORDER BY position LIMIT :limit

-- name: events_of_streams_after
SELECT position, stream, version, type, type_version, data, at, correlation_id, causation_id
FROM events
WHERE stream IN (SELECT value FROM json_each(:streams)) AND position > :after
ORDER BY position LIMIT :limit

-- name: last_position
SELECT coalesce(max(position), 0) FROM events

-- name: picked_jobs
-- Rows of jobs have number 0, with the first event beside them; the others are attempts.
SELECT job.position, 0, job.data, event.type, event.type_version, event.data
FROM picked CROSS JOIN jobs AS job USING (position) CROSS JOIN events AS event USING (position)
UNION ALL
SELECT attempt.job, attempt.number, attempt.data, NULL, NULL, NULL
FROM picked CROSS JOIN attempts AS attempt ON attempt.job = picked.position

-- name: pick_by_id
SELECT position FROM jobs WHERE id IN (SELECT value FROM json_each(:ids))

-- name: pick_claimable
-- The first of each demand, then the first of all: SQLite has no LATERAL, the inner LIMIT is its.
SELECT job.position
FROM json_each(:demand_ids) AS wanted CROSS JOIN jobs AS job
WHERE job.position IN (
    SELECT queued.position FROM jobs AS queued
    WHERE queued.state = 'QUEUED' AND queued.demand_id = wanted.value
    ORDER BY queued.priority DESC, queued.position LIMIT :limit
)
ORDER BY job.priority DESC, job.position LIMIT :limit

-- name: pick_held
SELECT position FROM jobs WHERE worker_id IS NOT NULL

-- name: pick_held_by
SELECT position FROM jobs WHERE worker_id = :worker_id

-- name: pick_due
SELECT position FROM jobs WHERE due_at <= :now ORDER BY due_at, position LIMIT :limit

-- name: next_due
SELECT min(due_at) FROM jobs WHERE due_at IS NOT NULL

-- name: queued_demands
SELECT demand.id, demand.data, demand.queued, job.id
FROM demands AS demand CROSS JOIN jobs AS job
WHERE demand.queued > 0 AND job.position = (
    SELECT queued.position FROM jobs AS queued
    WHERE queued.state = 'QUEUED' AND queued.demand_id = demand.id
    ORDER BY queued.priority DESC, queued.position LIMIT 1
)
ORDER BY job.priority DESC, job.position

-- name: worker_by_id
SELECT data FROM workers WHERE id = :id

-- name: workers_before
SELECT position, data FROM workers WHERE position < :before ORDER BY position DESC LIMIT :limit

-- name: living_workers_before
SELECT position, data FROM workers
WHERE has_ended = 0 AND position < :before ORDER BY position DESC LIMIT :limit

-- name: living_workers
SELECT data FROM workers WHERE has_ended = 0 ORDER BY position

-- name: pick_by_position
SELECT value AS position FROM json_each(:positions)
