-- What making the current-state tables again takes, and taking over the events of another store.

-- name: empty
TRUNCATE attempts, job_labels, job_tags, jobs, demands, workers

-- name: all_events
-- Stream by stream, by the index that keeps versions unique.
SELECT position, stream, version, type, type_version, data, at, correlation_id, causation_id
FROM events ORDER BY stream, version

-- name: has_events
SELECT EXISTS (SELECT 1 FROM events)

-- name: give_positions
-- As far as there are any.
SELECT setval('event_positions', coalesce(max(position), 0)) FROM events
