-- What is handed over to another store, table by table, after a key: see `hodei.wire.run_tables`.

-- name: all_runs
SELECT number, run_id, namespace, workflow_id, type, shard_id, request_id, revision, status,
    is_open, runnable_at, local_pending, is_parked, data
FROM runs WHERE number > $1 ORDER BY number LIMIT $2

-- name: all_run_history
SELECT run_id, seq, command_id, kind, at, data
FROM run_history WHERE (run_id, seq) > ($1, $2) ORDER BY run_id, seq LIMIT $3

-- name: all_run_inbox
SELECT id, run_id, key, kind, at, data, is_unread
FROM run_inbox WHERE id > $1 ORDER BY id LIMIT $2

-- name: all_run_timers
SELECT run_id, command_id, shard_id, fire_at
FROM run_timers WHERE (run_id, command_id) > ($1, $2) ORDER BY run_id, command_id LIMIT $3

-- name: all_run_tasks
SELECT task_id, run_id, command_id, shard_id, queue, priority, revision, is_queued, available_at,
    due_at, cancel_requested, data
FROM run_tasks WHERE task_id > $1 ORDER BY task_id LIMIT $2

-- name: all_run_outbox
SELECT position, topic, run_id, at, data
FROM run_outbox WHERE position > $1 ORDER BY position LIMIT $2

-- name: has_runs
SELECT EXISTS (SELECT FROM runs)

-- name: go_on_counting
-- Each counter after the last that was taken over.
SELECT
    setval(pg_get_serial_sequence('runs', 'number'), coalesce((SELECT max(number) FROM runs), 0) + 1, false),
    setval(pg_get_serial_sequence('run_inbox', 'id'), coalesce((SELECT max(id) FROM run_inbox), 0) + 1, false),
    setval(
        pg_get_serial_sequence('run_outbox', 'position'),
        coalesce((SELECT max(position) FROM run_outbox), 0) + 1, false
    )
