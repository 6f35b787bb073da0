-- What making the current-state tables again takes.

-- name: empty_attempts
DELETE FROM attempts

-- name: empty_job_labels
DELETE FROM job_labels

-- name: empty_job_tags
DELETE FROM job_tags

-- name: empty_jobs
DELETE FROM jobs

-- name: empty_demands
DELETE FROM demands

-- name: empty_workers
DELETE FROM workers

-- name: all_events
-- Stream by stream, by the index that keeps versions unique.
SELECT position, stream, version, type, type_version, data, at, correlation_id, causation_id
FROM events ORDER BY stream, version
