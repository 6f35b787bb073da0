-- What is handed over to another store, table by table, after a key: see `hodei.wire.run_tables`.

-- name: all_runs
SELECT number, run_id, namespace, workflow_id, type, shard_id, request_id, revision, status,
    is_open, runnable_at, local_pending, is_parked, data
FROM runs WHERE number > ? ORDER BY number LIMIT ?

-- name: all_run_history
SELECT run_id, seq, command_id, kind, at, data
FROM run_history WHERE (run_id, seq) > (?, ?) ORDER BY run_id, seq LIMIT ?

-- name: all_run_inbox
SELECT id, run_id, key, kind, at, data, is_unread
FROM run_inbox WHERE id > ? ORDER BY id LIMIT ?

-- name: all_run_timers
SELECT run_id, command_id, shard_id, fire_at
FROM run_timers WHERE (run_id, command_id) > (?, ?) ORDER BY run_id, command_id LIMIT ?

-- name: all_run_tasks
SELECT task_id, run_id, command_id, shard_id, queue, priority, revision, is_queued, available_at,
    due_at, cancel_requested, data
FROM run_tasks WHERE task_id > ? ORDER BY task_id LIMIT ?

-- name: all_run_outbox
SELECT position, topic, run_id, at, data
FROM run_outbox WHERE position > ? ORDER BY position LIMIT ?
